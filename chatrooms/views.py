"""Chatrooms over HTTP. The detail with its messages is messaging's ConversationViewSet."""

from datetime import datetime
from typing import Any

from django.db.models import Q
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from chatrooms.models import Chatroom, ChatroomQuerySet
from chatrooms.serializers import ChatroomSerializer, OpenChatroomSerializer
from gemchat.pagination import page_limit, read_cursor, sign_cursor

CURSOR_SALT = "chatrooms"


class ChatroomViewSet(mixins.CreateModelMixin, viewsets.GenericViewSet[Chatroom]):
    serializer_class = ChatroomSerializer
    lookup_value_regex = "[0-9a-fA-F-]{36}"

    def get_queryset(self) -> ChatroomQuerySet:
        return Chatroom.objects.owned_by(caller(self.request))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        fields = OpenChatroomSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        room = Chatroom.objects.open(user=caller(request), **fields.validated_data)
        return Response(self.get_serializer(room).data, status=201)

    def list(self, request: Request) -> Response:
        """A bare array; the next page is in the `Link` header."""
        limit = page_limit(request)
        archived = serializers.BooleanField().run_validation(
            request.query_params.get("archived", "false")
        )
        rooms = self.get_queryset().listed(archived=archived)
        if cursor := request.query_params.get("cursor"):
            rooms = rooms.filter(after_position(read_cursor(cursor, salt=CURSOR_SALT)))
        page = list(rooms[: limit + 1])
        response = Response(self.get_serializer(page[:limit], many=True).data)
        if len(page) > limit:
            following = sign_cursor(position(page[limit - 1]), salt=CURSOR_SALT)
            query = request.query_params.copy()
            query["cursor"] = following
            url = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
            response["Link"] = f'<{url}>; rel="next"'
        return response


def position(room: Chatroom) -> list[Any]:
    """Where a room stands in the order of the list, for a cursor."""
    return [room.pinned, room.last_message_at.isoformat(), str(room.id)]


def after_position(place: list[Any]) -> Q:
    """The rooms that follow a place in the order of `listed`."""
    pinned, last_message_at, room_id = place[0], datetime.fromisoformat(place[1]), place[2]
    later = Q(last_message_at__lt=last_message_at) | Q(
        last_message_at=last_message_at, id__lt=room_id
    )
    follows = Q(pinned=pinned) & later
    return follows | Q(pinned=False) if pinned else follows

"""Chatrooms over HTTP. ConversationViewSet of `messaging.api.messages` adds the messages."""

from contextlib import suppress
from typing import Any

from django.http import HttpResponse
from rest_framework import mixins, viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.authentication import SessionTokenAuthentication, authenticated_user
from accounts.models import User
from accounts.models.reads import FirstRead
from chatrooms.list_cache import current_version, first_page
from chatrooms.list_pages import build_page, page_response, requested_position
from chatrooms.models import Chatroom, ChatroomQuerySet
from chatrooms.serializers import (
    ChangeChatroomSerializer,
    ChatroomSerializer,
    OpenChatroomSerializer,
    list_query,
)
from gemchat.api.pagination import page_limit
from gemchat.api.serializers import validated
from gemchat.api.text import UUID
from messaging.conversation.model_choice import require_model


class ChatroomViewSet(mixins.CreateModelMixin, viewsets.GenericViewSet[Chatroom]):
    serializer_class = ChatroomSerializer
    lookup_value_regex = UUID

    # The version of the first page of a list; set for a request for the first page.
    version: FirstRead

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [SessionTokenAuthentication(self.first_read)]

    def first_read(self, request: Request) -> FirstRead | None:
        query = request.query_params
        if self.action == "list" and "cursor" not in query and not query.get("q"):
            # A bad query is refused after the authentication of the caller.
            with suppress(APIException):
                archived, limit = list_query(request)["archived"], page_limit(request)
                self.version = current_version(archived=archived, limit=limit)
                return self.version
        return None

    def get_queryset(self) -> ChatroomQuerySet:
        return Chatroom.objects.owned_by(authenticated_user(self.request))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        fields = validated(OpenChatroomSerializer, request.data)
        check_model(authenticated_user(request), fields)
        room = self.open_room(user=authenticated_user(request), **fields)
        return Response(ChatroomSerializer.to_json(room), status=201)

    def open_room(self, *, user: User, **fields: Any) -> Chatroom:
        """Make a room; a subclass knows billing, and applies the limits of plans."""
        return Chatroom.objects.create_room(user=user, **fields)

    def list(self, request: Request) -> HttpResponse:
        """Return a bare array; the `Link` header has the next page."""
        archived, limit = list_query(request)["archived"], page_limit(request)
        user, position = authenticated_user(request), requested_position(request)
        if position is None:
            current = self.version.value
            page = first_page(user=user, archived=archived, limit=limit, current=current)
        else:
            rooms = self.get_queryset().for_list(archived=archived).after(position)
            page = build_page(list(rooms[: limit + 1]), user=user, limit=limit)
        return page_response(request, page)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        room = self.get_object()
        fields = validated(ChangeChatroomSerializer, request.data, partial=True)
        check_model(authenticated_user(request), fields)
        room.update_fields(**fields)
        return Response(ChatroomSerializer.to_json(room))


def check_model(user: User, fields: dict[str, Any]) -> None:
    """Check the model of a room, unless empty. Raises the errors of `require_model`."""
    if fields.get("model"):
        require_model(user, fields["model"])

"""Chatrooms over HTTP. What needs their messages is messaging's ConversationViewSet."""

from typing import Any

from django.http import HttpResponse
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from chatrooms.first_page import first_page
from chatrooms.models import Chatroom, ChatroomQuerySet
from chatrooms.pages import page_of, position_in, respond
from chatrooms.serializers import (
    ChangeChatroomSerializer,
    ChatroomSerializer,
    OpenChatroomSerializer,
    list_query,
)
from gemchat.pagination import page_limit


class ChatroomViewSet(mixins.CreateModelMixin, viewsets.GenericViewSet[Chatroom]):
    serializer_class = ChatroomSerializer
    lookup_value_regex = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"

    def get_queryset(self) -> ChatroomQuerySet:
        return Chatroom.objects.owned_by(caller(self.request))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        fields = OpenChatroomSerializer(data=request.data)
        fields.is_valid(raise_exception=True)
        room = Chatroom.objects.open(user=caller(request), **fields.validated_data)
        return Response(self.get_serializer(room).data, status=201)

    def list(self, request: Request) -> HttpResponse:
        """A bare array; the next page is in the `Link` header."""
        archived, limit = list_query(request)["archived"], page_limit(request)
        user, position = caller(request), position_in(request)
        if position is None:
            page = first_page(user=user, archived=archived, limit=limit)
        else:
            rooms = self.get_queryset().listed(archived=archived).after(position)
            page = page_of(list(rooms[: limit + 1]), user=user, limit=limit)
        return respond(request, page)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        room = self.get_object()
        fields = ChangeChatroomSerializer(data=request.data, partial=True)
        fields.is_valid(raise_exception=True)
        room.change(**fields.validated_data)
        return Response(self.get_serializer(room).data)

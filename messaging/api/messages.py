"""Conversations over HTTP. `messaging.api.stream` has single messages and streams."""

import uuid
from typing import Any

from django.http import Http404, HttpResponse
from django.urls import reverse
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.authentication import authenticated_user
from accounts.api.idempotency import idempotent
from accounts.models import AuditEvent, User
from billing.plans import plan_for_user
from chatrooms import list_pages
from chatrooms.list_pages import Page, page_response, render_json, requested_position
from chatrooms.models import Chatroom
from chatrooms.serializers import list_query
from gemchat.api.client_address import client_from_request
from gemchat.api.pagination import DEFAULT_LIMIT, page_limit, read_cursor, sign_cursor
from gemchat.api.serializers import envelope, validated
from gemchat.api.text import UUID
from messaging.api.chatrooms import ChatroomViewSet
from messaging.api.message_files import render_message, with_files
from messaging.api.serializers import (
    ConversationSerializer,
    FeedbackSerializer,
    HitSerializer,
    MessageSerializer,
    ModelChoiceSerializer,
    PromptSerializer,
)
from messaging.conversation import actions
from messaging.conversation.accept import Accepted
from messaging.history import branch
from messaging.history.branch import MessageRow
from messaging.history.search import find_rooms
from messaging.models import Message, MessageQuerySet
from messaging.models.audit import MessagingAction

CURSOR_SALT = "messages"


class ConversationViewSet(ChatroomViewSet):
    """Chatrooms with messages."""

    def list(self, request: Request) -> HttpResponse:
        """List rooms in order of activity; with `q` the matching rooms, with excerpts."""
        query, user = list_query(request), authenticated_user(request)
        if not query.get("q"):
            return super().list(request)
        found = find_rooms(
            user=user,
            query=query["q"],
            archived=query["archived"],
            after=requested_position(request),
            limit=page_limit(request),
        )
        hits = HitSerializer(found.hits, many=True, context={"query": query["q"]})
        cursor = list_pages.cursor_at(found.last, user=user) if found.last else None
        return page_response(request, Page(render_json(hits.data), cursor))

    def open_room(self, *, user: User, **fields: Any) -> Chatroom:
        plan = plan_for_user(user)
        return Chatroom.objects.create_within_limits(
            user=user, most=plan.chatrooms, per_minute=plan.chatrooms_per_minute, **fields
        )

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        room: Any = self.get_object()
        messages, has_more = branch.latest_page(
            user=authenticated_user(request), chatroom_id=room.pk, limit=DEFAULT_LIMIT
        )
        room.shown = messages
        room.previous_cursor = cursor_at(messages[0]) if has_more else None
        body = ConversationSerializer.to_json(room)
        with_files(body["messages"], request)
        return Response(body)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        room = self.get_object()
        actions.delete(room=room)
        AuditEvent.objects.record(
            MessagingAction.CHATROOM_DELETED,
            user_id=room.user_id,
            target=str(room.pk),
            client=client_from_request(request),
        )
        return Response(status=204)


class MessageViewSet(viewsets.GenericViewSet[Message]):
    serializer_class = MessageSerializer
    lookup_value_regex = UUID

    def get_queryset(self) -> MessageQuerySet:
        return Message.objects.owned_by(authenticated_user(self.request))

    @action(detail=False, methods=["get"], url_path=f"chatroom/(?P<chatroom_id>{UUID})/message")
    def conversation(self, request: Request, chatroom_id: str) -> Response:
        """List a page of the active branch: the latest messages, or messages around a cursor."""
        messages, has_previous, has_next = self.page(request, chatroom_id)
        return Response(
            {
                "results": with_files(MessageSerializer.list_to_json(messages), request),
                "previous": cursor_at(messages[0]) if messages and has_previous else None,
                "next": cursor_at(messages[-1]) if messages and has_next else None,
            }
        )

    def page(self, request: Request, chatroom_id: str) -> tuple[list[MessageRow], bool, bool]:
        """Read the messages of a page, and whether other messages precede and follow."""
        user, limit = authenticated_user(request), page_limit(request)
        before, after = (request.query_params.get(name) for name in ("before", "after"))
        if before and after:
            raise ParseError("Give `before` or `after`, not both.", "invalid_cursor")
        if not (before or after):
            messages, has_previous = branch.latest_page(
                user=user, chatroom_id=chatroom_id, limit=limit
            )
            if messages:
                return messages, has_previous, False
        if not Chatroom.objects.owned_by(user).filter(pk=chatroom_id).exists():
            raise Http404
        if after:
            start = read_position(after, chatroom_id)
            page = branch.descendant_rows(start, limit=limit + 1)
            return page[:limit], True, len(page) > limit
        if before:
            earlier = Message.objects.filter(pk=read_position(before, chatroom_id)).first()
            last = earlier.parent_id if earlier else None
            page = branch.ancestor_rows(last, limit=limit + 1)
            return page[-limit:], len(page) > limit, True
        return [], False, False

    @conversation.mapping.post
    @idempotent
    def send(self, request: Request, chatroom_id: str) -> Response:
        fields = validated(PromptSerializer, request.data)
        try:
            accepted = actions.post_message(
                user=authenticated_user(request), chatroom_id=uuid.UUID(chatroom_id), **fields
            )
        except Chatroom.DoesNotExist as error:
            raise Http404 from error
        return self.accepted(accepted)

    @action(detail=True, methods=["post"])
    @idempotent
    def regenerate(self, request: Request, pk: str) -> Response:
        reply, fields = self.get_object(), validated(ModelChoiceSerializer, request.data)
        return self.accepted(
            actions.regenerate(reply=reply, user=authenticated_user(request), **fields)
        )

    @action(detail=True, methods=["post"])
    @idempotent
    def edit(self, request: Request, pk: str) -> Response:
        message = self.get_object()
        fields = validated(PromptSerializer, request.data)
        return self.accepted(
            actions.edit(message=message, user=authenticated_user(request), **fields)
        )

    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        reply = actions.stop(reply=self.get_object())
        return Response(
            envelope("The reply is being stopped.", render_message(reply, request)), status=202
        )

    @action(detail=True, methods=["post"])
    def select(self, request: Request, pk: str) -> Response:
        message = actions.select(user=authenticated_user(request), message=self.get_object())
        return Response(envelope("This branch is shown now.", render_message(message, request)))

    @action(detail=True, methods=["put"])
    def feedback(self, request: Request, pk: str) -> Response:
        message = self.get_object()
        actions.rate(reply=message, **validated(FeedbackSerializer, request.data))
        return Response(render_message(message, request))

    def accepted(self, accepted: Accepted) -> Response:
        quota = accepted.quota
        [message] = with_files([MessageSerializer.to_json(accepted.message)], self.request)
        body = {
            "message": message,
            "reply": MessageSerializer.to_json(accepted.reply),
            "quota": quota.as_json(),
        }
        path = reverse("message-detail", args=[accepted.reply.pk])
        headers = {"Location": self.request.build_absolute_uri(path), **quota.as_headers()}
        return Response(envelope("Message is being processed.", body), status=202, headers=headers)


def cursor_at(message: Message | MessageRow) -> str:
    return sign_cursor([str(message.chatroom_id), str(message.id)], salt=CURSOR_SALT)


def read_position(cursor: str, room_id: str) -> uuid.UUID:
    """Read the message id in a cursor; 400 for a cursor of another room."""
    chatroom_id, message_id = read_cursor(cursor, salt=CURSOR_SALT)
    if chatroom_id != str(uuid.UUID(room_id)):
        raise ParseError("This cursor is of another chatroom.", "invalid_cursor")
    return uuid.UUID(message_id)

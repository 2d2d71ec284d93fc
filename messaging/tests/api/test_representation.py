"""ReadSerializer writes what DRF makes of the same fields."""

import json
from typing import Any

import pytest
from rest_framework.renderers import JSONRenderer
from rest_framework.serializers import ModelSerializer

from accounts.models import User
from chatrooms.models import Chatroom
from chatrooms.serializers import ChatroomSerializer
from messaging.api.serializers import ConversationSerializer, MessageSerializer
from messaging.history import branch
from messaging.models import Message
from tests.support.messaging.rooms import exchange, make_room

FAILED = {"status": "failed", "error_code": "timeout", "error_detail": "Too slow."}
RATED = {"rating": -1, "feedback_comment": "No.", "context_messages": 3, "context_tokens": 40}


def as_json(representation: Any) -> Any:
    return json.loads(JSONRenderer().render(representation))


def assert_as_by_drf(serializer: Any) -> None:
    by_drf = ModelSerializer.to_representation(serializer, serializer.instance)
    assert as_json(serializer.data) == as_json(by_drf)
    assert list(serializer.data) == list(by_drf)


@pytest.mark.parametrize("fields", [{}, FAILED, RATED, {"prompt_tokens": 7, "output_tokens": 0}])
def test_message_is_as_by_drf(fields: dict[str, Any], alice: User) -> None:
    reply = exchange(make_room(alice))
    Message.objects.filter(pk=reply.pk).update(**fields)

    for message in branch.with_siblings(Message.objects.all()):
        assert_as_by_drf(MessageSerializer(message))


@pytest.mark.parametrize("microsecond", [0, 120_000, 7])
def test_message_of_a_page_is_as_by_itself(microsecond: int, alice: User) -> None:
    reply = exchange(make_room(alice))
    at = reply.created_at.replace(microsecond=microsecond)
    Message.objects.filter(pk=reply.pk).update(created_at=at)

    page = branch.ancestor_rows(reply.pk, limit=10)

    alone = branch.with_siblings(Message.objects.order_by("id"))
    assert MessageSerializer(page, many=True).data == MessageSerializer(alone, many=True).data


@pytest.mark.parametrize("messages", [0, 2])
def test_room_is_as_by_drf(messages: int, alice: User) -> None:
    room = make_room(alice)
    Chatroom.objects.filter(pk=room.pk).update(message_count=messages)
    room.refresh_from_db()

    assert_as_by_drf(ChatroomSerializer(room))


def test_conversation_is_as_by_drf(alice: User) -> None:
    room: Any = make_room(alice)
    exchange(room)
    room.shown = branch.with_siblings(Message.objects.all())
    room.previous_cursor = None

    assert_as_by_drf(ConversationSerializer(room))

"""Serializers of chatrooms, and of the requests to open or change a chatroom."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from chatrooms.models import Chatroom
from gemchat.api.fields import FlagField, LineField, TextField
from gemchat.api.serializers import ReadSerializer, validated
from gemchat.api.text import rfc3339


class ChatroomSerializer(ReadSerializer[Chatroom]):
    user_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = Chatroom
        fields = [
            "id",
            "title",
            "user_id",
            "created_at",
            "updated_at",
            "last_message_at",
            "pinned",
            "archived",
            "system_prompt",
            "model",
            "message_count",
            "temporary",
        ]

    def get_last_message_at(self, room: Chatroom) -> str | None:
        return rfc3339(room.last_message_at) if room.message_count else None

    def get_temporary(self, room: Chatroom) -> bool:
        return room.expires_at is not None


class ChangeChatroomSerializer(serializers.Serializer[Any]):
    """Each field may be left out; an empty system prompt or model removes the room's."""

    title = LineField(max_length=100)
    system_prompt = TextField(allow_blank=True, max_length=8_000)
    model = TextField(allow_blank=True, max_length=64)
    pinned = FlagField()
    archived = FlagField()


class OpenChatroomSerializer(serializers.Serializer[Any]):
    title = LineField(required=False, max_length=100)
    system_prompt = TextField(required=False, allow_blank=True, max_length=8_000)
    model = TextField(required=False, allow_blank=True, max_length=64)
    temporary = FlagField(required=False)


class ListQuerySerializer(serializers.Serializer[Any]):
    archived = serializers.BooleanField(default=False)
    q = serializers.CharField(required=False, max_length=200)


def list_query(request: Request) -> dict[str, Any]:
    """Read the query of a list: `archived`, and `q` if present; 422 if bad."""
    if not request.query_params:
        # The common case: DRF takes a tenth of a millisecond to validate an empty query.
        return {"archived": False}
    return validated(ListQuerySerializer, request.query_params)

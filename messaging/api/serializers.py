"""Serializers of messages, search hits and requests."""

from typing import Any, TypedDict

from rest_framework import serializers

from chatrooms.models import Chatroom
from chatrooms.serializers import ChatroomSerializer
from gemchat.api.fields import NumberChoiceField, TextField
from gemchat.api.serializers import ReadSerializer
from messaging.conversation.model_choice import AUTO, ModelChoice
from messaging.gemini.base import RETRYABLE_CODES
from messaging.history.excerpts import excerpt
from messaging.history.search import Hit
from messaging.models import INTERNAL, GeminiModel, Message, Waiting, waiting_of

PROMPT_MAX_CHARACTERS = 32_000
# Far more than any plan has.
MOST_FILES = 100


class Failure(TypedDict):
    code: str
    detail: str
    retryable: bool


class TokensUsed(TypedDict):
    prompt_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    thinking_tokens: int | None


class ContextSent(TypedDict):
    """The part of the conversation in a request to Gemini."""

    messages: int
    tokens: int | None
    truncated: bool | None


class Feedback(TypedDict):
    rating: int
    comment: str


class MessageSerializer(ReadSerializer[Message]):
    """Messages with `sibling_ids`, as read by `messaging.history.branch`.

    `branch.MessageRow` has all attributes of the serializer.
    """

    chatroom_id = serializers.UUIDField(read_only=True)
    parent_id = serializers.UUIDField(read_only=True, allow_null=True)
    sibling_ids = serializers.ListField(child=serializers.UUIDField(), read_only=True)

    class Meta:
        model = Message
        fields = [
            "id",
            "chatroom_id",
            "sender",
            "content",
            "files",
            "created_at",
            "status",
            "parent_id",
            "sibling_ids",
            "error",
            "model",
            "thinking",
            "usage",
            "context",
            "finish_reason",
            "waiting",
            "feedback",
        ]

    def get_files(self, message: Message) -> list[Any]:
        """Return ids; `with_files` puts the files in their stead."""
        return message.file_ids or []

    def get_model(self, message: Message) -> str | None:
        return message.model_version or message.model or None

    def get_thinking(self, message: Message) -> str | None:
        return message.thinking or None

    def get_error(self, message: Message) -> Failure | None:
        if not message.error_code:
            return None
        return {
            "code": message.error_code,
            "detail": message.error_detail,
            "retryable": message.error_code in RETRYABLE_CODES | {INTERNAL},
        }

    def get_usage(self, message: Message) -> TokensUsed | None:
        if message.prompt_tokens is None:
            return None
        return {
            "prompt_tokens": message.prompt_tokens,
            "output_tokens": message.output_tokens,
            "cached_tokens": message.cached_tokens,
            "thinking_tokens": message.thinking_tokens,
        }

    def get_context(self, message: Message) -> ContextSent | None:
        if message.context_messages is None:
            return None
        return {
            "messages": message.context_messages,
            "tokens": message.context_tokens,
            "truncated": message.context_truncated,
        }

    def get_finish_reason(self, message: Message) -> str | None:
        return message.finish_reason or None

    def get_waiting(self, message: Message) -> Waiting | None:
        return waiting_of(message)

    def get_feedback(self, message: Message) -> Feedback | None:
        if not message.rating:
            return None
        return {"rating": message.rating, "comment": message.feedback_comment}


class ConversationSerializer(ChatroomSerializer):
    """A chatroom with the attributes `shown`, the latest messages, and `previous_cursor`."""

    messages = MessageSerializer(many=True, read_only=True, source="shown")
    previous_cursor = serializers.CharField(read_only=True, allow_null=True)

    class Meta(ChatroomSerializer.Meta):
        model = Chatroom
        fields = [*ChatroomSerializer.Meta.fields, "messages", "previous_cursor"]


class HitSerializer(serializers.Serializer[Any]):
    """A chatroom found by a search; the context has the `query`.

    `excerpt` holds plain text in pieces, with the words of the query `marked`, and the id of the
    message. The id is null for the title.
    """

    def to_representation(self, hit: Hit) -> dict[str, Any]:
        pieces = excerpt(hit.text, query=self.context["query"])
        return {
            **ChatroomSerializer.to_json(hit.room),
            "excerpt": {"message_id": hit.message_id, "pieces": pieces},
        }


class ModelChoiceSerializer(serializers.Serializer[Any]):
    """The model and the thinking level of a reply; each may be left out."""

    model = TextField(required=False, max_length=64)
    thinking = serializers.ChoiceField(choices=[AUTO, *GeminiModel.Thinking.values], required=False)

    def validate(self, attrs: Any) -> Any:
        """Collect both fields as `wanted`."""
        choice = {name: attrs.pop(name) for name in ("model", "thinking") if name in attrs}
        return {**attrs, "wanted": ModelChoice(**choice)}


class PromptSerializer(ModelChoiceSerializer):
    """A prompt to send, or a new wording. With files the text may be empty."""

    prompt = TextField(max_length=PROMPT_MAX_CHARACTERS, allow_blank=True)
    files = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=MOST_FILES
    )

    def validate(self, attrs: Any) -> Any:
        if not (attrs["prompt"] or attrs.get("files")):
            detail = {"prompt": "Write a prompt, or attach a file."}
            raise serializers.ValidationError(detail, "blank")
        return super().validate(attrs)


class FeedbackSerializer(serializers.Serializer[Any]):
    rating = NumberChoiceField(choices=[1, 0, -1])
    comment = TextField(required=False, allow_blank=True, max_length=2_000)

"""Descriptions of the calls on chatrooms and messages, for docs/openapi.json."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers

from accounts.api.live_reads import LIVE_PROBLEMS
from accounts.api.schema import KEY_PROBLEMS
from accounts.auth.rate_limits import RateLimited
from billing.quota import CostLimitReached, QuotaExceeded, SendsLimited, TextLimitReached
from chatrooms.models import ChatroomLimitReached
from chatrooms.serializers import (
    ChangeChatroomSerializer,
    ChatroomSerializer,
    OpenChatroomSerializer,
)
from files.api.schema import StoredFile
from files.uses import (
    FileDeleted,
    FileNotReady,
    FileRefused,
    FileUnknown,
    TooManyFiles,
    TooManyFileTokens,
)
from gemchat.api.errors import DomainError
from gemchat.api.openapi import DAY_AFTER, QUOTA_HEADERS, UUID_SCHEMA, action, call, describe, query
from gemchat.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from messaging.api.examples import EVENTS, MARKDOWN, MODEL, PROMPT, QUEUED, REPLY, ROOM
from messaging.api.export import TemporaryRoom
from messaging.api.messages import ConversationViewSet, MessageViewSet
from messaging.api.models import ModelSerializer, ModelViewSet
from messaging.api.serializers import (
    ConversationSerializer,
    FeedbackSerializer,
    MessageSerializer,
    ModelChoiceSerializer,
    PromptSerializer,
)
from messaging.api.stream import LONGEST_WAIT_SECONDS, InvalidEventId
from messaging.conversation.accept import TooManyWaiting
from messaging.conversation.actions import NotAPrompt, NotAReply
from messaging.conversation.model_choice import UnsupportedByBackend, UnsupportedByModel
from messaging.models.gemini_models import ModelNotInPlan, UnknownModel

# Blanks alone are refused, since nothing could match. With an empty query there is no search.
WORDS = r"^(?:[^\u0000]*[^\s\u0000\u001c-\u001f][^\u0000]*)?$"
LIMIT = query(
    "limit",
    {"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT},
    f"More than {MAX_LIMIT} is {MAX_LIMIT}.",
)
ID = OpenApiParameter("id", UUID_SCHEMA, "path")
ROOM_PARAMETER = OpenApiParameter("chatroom_id", UUID_SCHEMA, "path")

extend_schema_field(
    {
        "type": ["string", "null"],
        "enum": ["stop", "max_tokens", "other", None],
        "description": "Of a complete reply; `max_tokens`: the answer is cut off.",
    }
)(MessageSerializer.get_finish_reason)
extend_schema_field(
    {
        "type": ["object", "null"],
        "description": "Of a reply before its next try; `reason` is the error of the last try.",
        "properties": {
            "reason": {"type": "string"},
            "retry_at": {"type": "string", "format": "date-time"},
        },
        "required": ["reason", "retry_at"],
    }
)(MessageSerializer.get_waiting)
extend_schema_field({"type": ["string", "null"], "format": "date-time"})(
    ChatroomSerializer.get_last_message_at
)
extend_schema_field(StoredFile(many=True))(MessageSerializer.get_files)


class Quota(serializers.Serializer[Any]):
    limit = serializers.IntegerField()
    used = serializers.IntegerField()
    remaining = serializers.IntegerField()
    resets_at = serializers.DateTimeField()


class Piece(serializers.Serializer[Any]):
    text = serializers.CharField()
    marked = serializers.BooleanField()


class Excerpt(serializers.Serializer[Any]):
    message_id = serializers.UUIDField(allow_null=True, help_text="Null for the title.")
    pieces = Piece(many=True, help_text="Plain text; the words searched for are marked.")


class ListedChatroom(ChatroomSerializer):
    excerpt = Excerpt(required=False, help_text="With `q`: where it was found.")

    class Meta(ChatroomSerializer.Meta):
        fields = [*ChatroomSerializer.Meta.fields, "excerpt"]


class Accepted(serializers.Serializer[Any]):
    message = MessageSerializer()
    reply = MessageSerializer()
    quota = Quota()


ACCEPTED_ANSWER = action("AcceptedAnswer", Accepted())
MESSAGE_ANSWER = action("MessageAnswer", MessageSerializer())


class MessagePage(serializers.Serializer[Any]):
    results = MessageSerializer(many=True)
    previous = serializers.CharField(allow_null=True, help_text="For `before`.")
    next = serializers.CharField(allow_null=True, help_text="For `after`.")


class Export(serializers.Serializer[Any]):
    chatroom = ChatroomSerializer()
    messages = MessageSerializer(many=True)


MODEL_PROBLEMS = [UnknownModel, ModelNotInPlan, UnsupportedByModel, UnsupportedByBackend]
ROOM_PROBLEMS = [UnknownModel, ModelNotInPlan, UnsupportedByBackend]
FILE_PROBLEMS: list[type[DomainError]] = [
    *[FileNotReady, FileDeleted, FileUnknown, FileRefused],
    *[TooManyFiles, TooManyFileTokens],
]
SEND_PROBLEMS = [QuotaExceeded, SendsLimited, CostLimitReached, TextLimitReached, TooManyWaiting]


def accepting(operation_id: str, summary: str, **more: Any) -> Any:
    """Describe a call for a new reply: the answer is the same for any prompt."""
    problems = [*SEND_PROBLEMS, *MODEL_PROBLEMS, *KEY_PROBLEMS, *more.pop("problems", [])]
    return call(
        operation_id,
        summary,
        answers={
            202: (
                ACCEPTED_ANSWER,
                {
                    "success": True,
                    "message": "Message is being processed.",
                    "data": {
                        "message": PROMPT,
                        "reply": QUEUED,
                        "quota": {"limit": 5, "used": 1, "remaining": 4, "resets_at": DAY_AFTER},
                    },
                },
            )
        },
        headers=["Location", *QUOTA_HEADERS],
        problems=problems,
        takes_key=True,
        **more,
    )


def acting(operation_id: str, summary: str, status: int, message: str, **more: Any) -> Any:
    """Describe a call with the current message as the answer."""
    answer = {"success": True, "message": message, "data": REPLY}
    return call(
        operation_id,
        summary,
        parameters=[ID],
        answers={status: (MESSAGE_ANSWER, answer)},
        **more,
    )


describe(
    ConversationViewSet,
    create=call(
        "openChatroom",
        "Open a chatroom",
        description="Without a title it is named after its first exchange. A temporary one is in"
        " no list and no export, and is erased after 24 hours.",
        body=(OpenChatroomSerializer, {"title": "First steps"}),
        answers={201: (ChatroomSerializer, {**ROOM, "last_message_at": None, "message_count": 0})},
        problems=[RateLimited, ChatroomLimitReached, *ROOM_PROBLEMS],
    ),
    list=call(
        "listChatrooms",
        "The user's chatrooms, pinned before all, then the newest activity",
        description="With `q` those that have all its words in the title or in a message.",
        parameters=[
            LIMIT,
            query("cursor", {"type": "string"}, "From the `Link` header; opaque."),
            query("archived", {"type": "boolean", "default": False}),
            query("q", {"type": "string", "maxLength": 200, "pattern": WORDS}, "Words."),
        ],
        answers={200: (ListedChatroom(many=True), ROOM)},
        headers=["Link"],
        problems=["invalid_cursor", "validation_error"],
    ),
    retrieve=call(
        "readChatroom",
        "A chatroom with the latest of its messages",
        description="The latest 50 of the active branch, oldest first.",
        parameters=[ID],
        answers={
            200: (
                ConversationSerializer,
                {**ROOM, "messages": [PROMPT, REPLY], "previous_cursor": None},
            )
        },
    ),
    partial_update=call(
        "changeChatroom",
        "Change title, system prompt, model, pinned or archived",
        parameters=[ID],
        body=(ChangeChatroomSerializer(partial=True), {"pinned": True}),
        answers={200: (ChatroomSerializer, {**ROOM, "pinned": True})},
        problems=ROOM_PROBLEMS,
    ),
    destroy=call(
        "deleteChatroom",
        "Delete a chatroom and its messages",
        parameters=[ID],
        answers={204: None},
    ),
)

describe(
    MessageViewSet,
    conversation=call(
        "listMessages",
        "A page of the active branch, oldest first",
        description="The latest messages, or those `before` or `after` a cursor of another page.",
        parameters=[
            ROOM_PARAMETER,
            LIMIT,
            query("before", {"type": "string"}, "`previous` of a page."),
            query("after", {"type": "string"}, "`next` of a page."),
        ],
        answers={200: (MessagePage, {"results": [PROMPT, REPLY], "previous": None, "next": None})},
        problems=["invalid_cursor", "validation_error"],
    ),
    send=accepting(
        "sendMessage",
        "Send a prompt; Gemini's reply is made in the background",
        parameters=[ROOM_PARAMETER],
        description="With `files` the prompt may be empty. The files must be ready.",
        body=(PromptSerializer, {"prompt": "Why is the sky blue?"}),
        problems=FILE_PROBLEMS,
    ),
    regenerate=accepting(
        "regenerateReply",
        "Have another reply made to the same prompt",
        description="By default with the model and the level of the reply.",
        parameters=[ID],
        body=(ModelChoiceSerializer, {"thinking": "high"}),
        problems=[NotAReply],
    ),
    edit=accepting(
        "editPrompt",
        "Edit a prompt: a new version beside the old, with a new reply",
        parameters=[ID],
        description="Without `files` the new version has the files of the old.",
        body=(PromptSerializer, {"prompt": "Why is the sky blue by day?"}),
        problems=[NotAPrompt, *FILE_PROBLEMS],
    ),
    stop=acting(
        "stopReply",
        "End a reply with what it has",
        202,
        "The reply is being stopped.",
        problems=[NotAReply],
    ),
    select=acting(
        "selectBranch", "Show the branch that holds this message", 200, "This branch is shown now."
    ),
    feedback=call(
        "rateReply",
        "Say what a reply is worth: 1, -1, or 0 to take it back",
        parameters=[ID],
        body=(FeedbackSerializer, {"rating": 1, "comment": "Clear."}),
        answers={
            200: (MessageSerializer, {**REPLY, "feedback": {"rating": 1, "comment": "Clear."}})
        },
        problems=[NotAReply],
    ),
)

describe(
    ModelViewSet,
    list=call(
        "listModels",
        "The models that a request may name",
        description="In the order of a picker. A model that the plan lacks is in the list, with"
        " `available` false. The capabilities are those of both the model and this server.",
        answers={200: (ModelSerializer(many=True), MODEL)},
    ),
)

# Empty is the same as left out.
EVENT_ID = {"type": "string", "pattern": "^(?:[0-9]{1,10}-[0-9]{1,10})?$"}
# The live views; DRF has no part in the views.
EXTRA_OPERATIONS = {
    ("/api/v1/message/{id}", "get"): call(
        "readMessage",
        "A message; with `wait`, as soon as it has ended or the seconds have passed",
        parameters=[
            ID,
            query("wait", {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT_SECONDS}),
        ],
        answers={200: (MessageSerializer, REPLY)},
        problems=["validation_error", *LIVE_PROBLEMS],
    ),
    ("/api/v1/message/{id}/stream", "get"): call(
        "streamReply",
        "A reply as Server-Sent Events",
        description="""
Events are `reply.delta` with `{"text": …}`, then one of `reply.completed`, `reply.failed` and
`reply.stopped` with the whole message, and the stream ends. After `reply.restarted` the reply
starts again, and earlier text is void. `reply.waiting` has the `waiting` of the message: the next
try follows by itself. The deltas joined are the content, over any number of reconnects. A comment
line comes every 15 s; after ten minutes the server closes, and the client resumes.
""".strip(),
        parameters=[
            ID,
            OpenApiParameter(
                "Last-Event-ID", EVENT_ID, "header", description="Resume after this event."
            ),
            query("last_event_id", EVENT_ID, "The same, for clients that cannot set a header."),
        ],
        answers={
            (200, "text/event-stream"): (
                {
                    "description": "As https://html.spec.whatwg.org/multipage/server-sent-events.html"
                },
                EVENTS,
            ),
            204: None,
        },
        problems=[NotAReply, InvalidEventId, *LIVE_PROBLEMS],
    ),
    ("/api/v1/chatroom/{id}/export", "get"): call(
        "exportChatroom",
        "A chatroom as a file",
        description="JSON has every message with its place in the tree, oldest first; Markdown"
        " the branch that is shown.",
        parameters=[
            ID,
            query("as", {"type": "string", "enum": ["json", "markdown"], "default": "json"}),
        ],
        answers={
            (200, "application/json"): (Export, {"chatroom": ROOM, "messages": [PROMPT, REPLY]}),
            (200, "text/markdown"): ({"type": "string"}, MARKDOWN),
        },
        headers=["Content-Disposition"],
        problems=[TemporaryRoom, "validation_error", *LIVE_PROBLEMS],
    ),
}

"""Admin pages of rooms and messages, without content of users."""

import uuid

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from backoffice.actions.base import ActionContext, StaffAction
from backoffice.pages.base import (
    AgeFilter,
    ChoiceFilter,
    admin_link,
    as_uuid,
    html_table,
    user_query,
)
from backoffice.pages.message_content import PAGE, ContentAdmin
from billing.models import UsageRecord
from chatrooms.models import Chatroom
from messaging.models import ERROR_CODES, Message
from messaging.models.audit import MessagingAction
from messaging.replies.finish import ENDING_COLUMNS
from messaging.replies.retry import retry

ATTEMPTS_SHOWN = 50


@admin.register(Chatroom)
class ChatroomAdmin(ContentAdmin):
    """Rooms without their titles and system prompts."""

    list_display = ("created_at", "user", "message_count", "last_message_at", "archived")
    export_columns = ("id", *list_display)
    list_select_related = ["user"]
    list_filter = [AgeFilter]
    fields = (
        "id",
        "user",
        "created_at",
        "updated_at",
        "last_message_at",
        "message_count",
        "archived",
        "expires_at",
        "deleted_at",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chatroom]:
        return super().get_queryset(request).defer("title", "system_prompt")

    def get_room(self, row: Chatroom) -> Chatroom:
        return row

    def get_messages(self, row: Chatroom, *, before: uuid.UUID | None) -> list[Message]:
        messages = Message.objects.filter(chatroom=row).order_by("-id")
        return list((messages.filter(pk__lt=before) if before else messages)[:PAGE])


class StatusFilter(ChoiceFilter):
    title = "status"
    parameter_name = "status"
    options = {
        "under_way": ("Active", Q(status__in=["queued", "generating"])),
        "failed": ("Failed", Q(status="failed")),
    }


class ErrorFilter(ChoiceFilter):
    title = "error of failed replies"
    parameter_name = "error"
    options = {code: (code, Q(status="failed", error_code=code)) for code in ERROR_CODES}


# Columns of an ending, shown elsewhere on the page.
SHOWN_APART = ("status", "error_detail")


def retry_reply(context: ActionContext) -> str:
    retry(reply_id=context.row.pk)
    return "The reply is queued again."


@admin.register(Message)
class MessageAdmin(ContentAdmin):
    """Messages with the state and the attempts of replies."""

    columns = ("user", "sender", "status", "error_code", "provider_code", "model", "attempt")
    list_display = ("created_at", *columns)
    export_columns = ("id", "chatroom_id", *list_display)
    list_filter = [StatusFilter, ErrorFilter, AgeFilter]
    list_select_related = ["user"]
    search_help_text = (
        "The whole id of a message, a room or a user, or the whole mobile number of a user."
    )
    fieldsets = [
        (None, {"fields": [("id", "user"), ("room", "prompt"), ("sender", "status", "model")]}),
        (
            "Life of the reply",
            {
                "fields": [
                    ("created_at", "started_at", "first_token_at", "ended_at"),
                    ("attempt", "attempts_reset", "quota_day", "stop_requested"),
                    tuple(name for name in ENDING_COLUMNS if name not in SHOWN_APART),
                    "error_detail",
                    ("lease_expires_at", "retry_at", "resend_at"),
                ]
            },
        ),
        (
            "Tokens and context",
            {
                "fields": [
                    ("prompt_tokens", "output_tokens", "cached_tokens", "thinking_tokens"),
                    ("context_messages", "context_tokens", "context_truncated", "rating"),
                ]
            },
        ),
        ("Attempts that ended", {"fields": ["attempts"]}),
    ]
    readonly_fields = ["id", "room", "prompt", "attempts", "lease_expires_at", "resend_at"]
    staff_actions = [
        StaffAction(
            name="retry",
            label="Retry",
            permission="messaging.retry_reply",
            event=MessagingAction.REPLY_RETRIED,
            run=retry_reply,
            warning="Failed replies are queued again, at no cost to the quota of their users.",
        )
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).defer("content", "feedback_comment")

    def search_query(self, term: str) -> Q:
        key = as_uuid(term)
        if key and Message.objects.filter(pk=key).exists():
            return Q(pk=key)
        if key and Chatroom.objects.filter(pk=key).exists():
            return Q(chatroom_id=key)
        return user_query(term)

    @admin.display(description="Room")
    def room(self, message: Message) -> SafeString:
        return admin_link(Chatroom(pk=message.chatroom_id))

    @admin.display(description="Answers")
    def prompt(self, message: Message) -> SafeString | str:
        if not message.is_reply:
            return "It is a prompt."
        return admin_link(Message(pk=message.parent_id, sender=Message.Sender.USER))

    @admin.display(description="Attempts")
    def attempts(self, message: Message) -> SafeString | str:
        """Return each ended attempt of the ledger; the row has only the last attempt."""
        heads = [
            "Attempt",
            "Began",
            "Ended",
            "Outcome",
            "Error",
            "Gemini's code",
            "Model",
            "Tokens in",
            "out",
            "thinking",
            "cached",
            "tools",
            "audio",
            "Queries",
            "Micro-USD",
        ]
        rows = (
            UsageRecord.objects.filter(reply_id=message.pk, purpose=UsageRecord.Purpose.REPLY)
            .order_by("attempt")
            .values_list(
                "attempt",
                "started_at",
                "created_at",
                "outcome",
                "error_code",
                "provider_code",
                "model",
                "prompt_tokens",
                "output_tokens",
                "thinking_tokens",
                "cached_tokens",
                "tool_prompt_tokens",
                "audio_tokens",
                "search_queries",
                "cost_micro_usd",
            )[:ATTEMPTS_SHOWN]
        )
        return html_table(heads, rows) or "None has ended."

    def get_room(self, row: Message) -> Chatroom:
        return row.chatroom

    def get_messages(self, row: Message, *, before: uuid.UUID | None) -> list[Message]:
        """Return a prompt alone, or a reply with its prompt."""
        query = Q(pk=row.pk) | Q(pk=row.parent_id) if row.is_reply else Q(pk=row.pk)
        return list(Message.objects.filter(query).order_by("-id"))

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from messaging.models import GeminiModel, Message

SHOWN = (
    "user",
    "chatroom_id",
    "sender",
    "status",
    "model",
    "attempt",
    "created_at",
    "started_at",
    "first_token_at",
    "ended_at",
    "error_code",
    "error_detail",
    "finish_reason",
    "prompt_tokens",
    "output_tokens",
    "cached_tokens",
    "thinking_tokens",
    "context_messages",
    "context_tokens",
    "context_truncated",
    "rating",
)


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """How replies fared. What people wrote is not shown."""

    list_display = ["id", "user", "sender", "status", "error_code", "model", "created_at"]
    list_filter = ["status", "error_code"]
    list_select_related = ["user"]
    search_fields = ["user__mobile"]
    show_full_result_count = False
    readonly_fields = SHOWN
    fields = SHOWN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).defer("content").order_by("-id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:
        return False


@admin.register(GeminiModel)
class GeminiModelAdmin(admin.ModelAdmin):
    list_display = ["name", "tier", "is_enabled", "input_price", "output_price", "retires_on"]
    ordering = ["name"]

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chatrooms.models import Chatroom

SHOWN = (
    "user",
    "created_at",
    "updated_at",
    "last_message_at",
    "message_count",
    "archived",
    "expires_at",
    "deleted_at",
)


@admin.register(Chatroom)
class ChatroomAdmin(admin.ModelAdmin):
    """Rooms are their users'; staff see that they are there."""

    list_display = ["id", "user", "message_count", "last_message_at", "archived"]
    list_select_related = ["user"]
    search_fields = ["user__mobile"]
    show_full_result_count = False
    readonly_fields = SHOWN
    fields = SHOWN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chatroom]:
        return super().get_queryset(request).order_by("-id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Chatroom | None = None) -> bool:
        return False

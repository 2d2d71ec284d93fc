"""Admin page of files: kind, size and status, never a name or a picture."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from backoffice.pages.base import AgeFilter, ReadOnlyAdmin
from files.models import File


@admin.register(File)
class FileAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "user", "kind", "size", "status", "refusal_code")
    export_columns = ("id", *list_display)
    list_select_related = ["user"]
    list_filter = [AgeFilter]
    fields = (
        *("id", "user", "created_at", "status", "refusal_code"),
        *("kind", "media_type", "size", "width", "height", "pages", "seconds", "tokens"),
        *("attempt", "lease_expires_at", "examined_at"),
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[File]:
        return super().get_queryset(request).defer("name", "sha256")

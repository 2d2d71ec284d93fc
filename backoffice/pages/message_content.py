"""Pages of message content: hidden until staff with the permission give a reason, each time."""

import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path

from backoffice.actions.base import ReasonForm, record
from backoffice.models import BackofficeAction
from backoffice.pages.base import EXPORTED_ROWS, ReadOnlyAdmin, as_uuid
from backoffice.pages.csv_export import csv_download
from chatrooms.models import Chatroom
from messaging.models import Message

MAY_READ = "chatrooms.view_content"
PAGE = 50
HEADS = ["room", "title", "time", "sender", "status", "content"]


class ContentAdmin(ReadOnlyAdmin):
    """An admin page with a link to a page of content."""

    def get_room(self, row: Any) -> Chatroom:
        raise NotImplementedError

    def get_messages(self, row: Any, *, before: uuid.UUID | None) -> list[Message]:
        """Return a page of messages, newest first."""
        raise NotImplementedError

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_content"
        view = self.admin_site.admin_view(self.content_view)
        return [path("<path:object_id>/content/", view, name=name), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        extra = {**(extra_context or {}), "may_read": request.user.has_perm(MAY_READ)}
        return super().change_view(request, object_id, form_url, extra)

    def content_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        if not (self.has_view_permission(request) and request.user.has_perm(MAY_READ)):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        room = self.get_room(row) if row else None
        if row is None or room is None or room.deleted_at:
            raise Http404
        form = ReasonForm(request.POST if request.method == "POST" else None)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Content: {row}",
            "opts": self.opts,
            "row": row,
            "form": form,
        }
        if not form.is_valid():
            return TemplateResponse(request, "admin/content.html", context)
        as_file, before = "file" in request.POST, as_uuid(request.POST.get("before", ""))
        reason = form.cleaned_data["reason"]
        record(request, BackofficeAction.CONTENT_READ, row, reason=reason, as_file=as_file)
        if as_file:
            return csv_download(f"room-{room.pk}", HEADS, file_rows(room))
        page = self.get_messages(row, before=before)
        more = page[-1].pk if len(page) == PAGE else None
        context.update(room=room, room_messages=page[::-1], more=more, reason=reason)
        return TemplateResponse(request, "admin/content.html", context)


def file_rows(room: Chatroom) -> Iterator[list[Any]]:
    messages = Message.objects.filter(chatroom=room).order_by("id")[:EXPORTED_ROWS]
    for message in messages.iterator(chunk_size=500):
        yield [
            room.pk,
            room.title,
            message.created_at,
            message.sender,
            message.status,
            message.content,
        ]

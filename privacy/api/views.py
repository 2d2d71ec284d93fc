"""Views of the export of a user's data."""

import uuid
from collections.abc import AsyncGenerator
from typing import Any

from django.core import signing
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api.authentication import AuthenticatedRequest
from accounts.api.live_reads import LiveRead, SessionEnded
from accounts.auth.sessions import require_recent_sign_in
from accounts.models import AuditEvent, Session
from gemchat.api.async_views import async_view, in_thread
from gemchat.api.client_address import Client, client_from_request
from gemchat.api.errors import DomainError
from gemchat.celery import enqueue
from messaging.streaming.hub import get_hub
from privacy.models import DataExport, ExportPart, PrivacyAction

LINK_SALT = "account-export"
# Long enough for a click, too short for a use by a reader of a log.
LINK_SECONDS = 300


class LinkInvalid(DomainError):
    code = "link_invalid"
    message = "This link has expired. GET /user/me/export gives a new one."
    status = 403


class PartMissing(Exception):
    """The export expired during a download; the connection ends before the end of the file."""


class ExportViewSet(ViewSet):
    @action(detail=False, methods=["get"], url_path="me/export")
    def export(self, request: AuthenticatedRequest) -> Response:
        current = DataExport.objects.current(request.user)
        if current is None:
            raise Http404
        # The link gives access to all data; the state of an export does not.
        if current.status == DataExport.Status.READY:
            require_recent_sign_in(request.auth)
        return Response(describe_export(current, request))

    @export.mapping.post
    def request_export(self, request: AuthenticatedRequest) -> Response:
        require_recent_sign_in(request.auth)
        current, is_new = DataExport.objects.get_or_start(request.user)
        if is_new:
            AuditEvent.objects.record(
                PrivacyAction.USER_EXPORTED,
                user_id=request.user.pk,
                client=client_from_request(request),
            )
            enqueue("privacy.tasks.build_export", current.pk)
        return Response(describe_export(current, request), status=202)


def describe_export(export: DataExport, request: AuthenticatedRequest) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": export.status, "requested_at": export.requested_at}
    if not export.is_active:
        answer["expires_at"] = export.expires_at
    if export.status == DataExport.Status.READY:
        token = signing.dumps([str(export.pk), str(request.auth.pk)], salt=LINK_SALT)
        answer["size"] = export.size
        path = reverse("user-export-file")
        answer["download_url"] = request.build_absolute_uri(f"{path}?token={token}")
    return answer


@async_view("application/zip")
async def download(request: HttpRequest) -> HttpResponseBase:
    """Stream the file of an export by a link, valid for a few minutes.

    A browser sends no bearer token for a link, so the link itself is the permission. The link ends
    with the session of the request. A part is read after the client has read the part before, so a
    slow client holds neither the file in memory nor a thread.
    """
    token = request.GET.get("token", "")
    session, export = await in_thread(find_linked_export, token, client_from_request(request))
    read = get_hub(request).reads.open(session)
    response = StreamingHttpResponse(stream_parts(export, read), content_type="application/zip")
    made_on = f"{export.requested_at:%Y-%m-%d}"
    response["Content-Disposition"] = f'attachment; filename="gemchatroom-{made_on}.zip"'
    response["Content-Length"] = str(export.size)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def find_linked_export(token: str, client: Client) -> tuple[Session, DataExport]:
    """Find the session of a link, and the export. Record the download.

    Raises LinkInvalid for a forged or expired token, or after the session's end.
    """
    try:
        export_id, session_id = signing.loads(token, salt=LINK_SALT, max_age=LINK_SECONDS)
    except signing.BadSignature as error:
        raise LinkInvalid from error
    session = Session.objects.active().filter(pk=session_id, user__is_active=True).first()
    export = DataExport.objects.filter(pk=export_id, status=DataExport.Status.READY).first()
    if session is None or export is None or export.has_expired:
        raise LinkInvalid
    AuditEvent.objects.record(
        PrivacyAction.EXPORT_DOWNLOADED,
        user_id=export.user_id,
        target=str(export.pk),
        client=client,
    )
    return session, export


async def stream_parts(export: DataExport, read: LiveRead) -> AsyncGenerator[bytes]:
    """Raises SessionEnded."""
    sent = number = 0
    while sent < (export.size or 0):
        content = await in_thread(read_part, export.pk, number)
        if read.has_ended:
            raise SessionEnded
        yield content
        sent += len(content)
        number += 1


def read_part(export_id: uuid.UUID, number: int) -> bytes:
    try:
        return bytes(ExportPart.objects.get(export=export_id, number=number).content)
    except ExportPart.DoesNotExist as error:
        raise PartMissing from error

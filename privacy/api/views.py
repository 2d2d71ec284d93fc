"""Views of the export of a user's data."""

from typing import Any

from django.core import signing
from django.http import Http404, HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api.authentication import AuthenticatedRequest
from accounts.api.live_reads import live_reads_of
from accounts.auth.sessions import require_recent_sign_in
from accounts.models import AuditEvent, Session
from files.api.downloads import address_of, pieces, safe
from files.api.uploads import on_storage
from files.storage import blobs
from gemchat.api.async_views import async_view, in_thread
from gemchat.api.client_address import Client, client_from_request
from gemchat.api.errors import DomainError
from gemchat.celery import enqueue
from privacy.models import DataExport, PrivacyAction

LINK_SALT = "account-export"
# Long enough for a click, too short for a use by a reader of a log.
LINK_SECONDS = 300
ZIP = "application/zip"


class LinkInvalid(DomainError):
    code = "link_invalid"
    message = "This link has expired. GET /user/me/export gives a new one."
    status = 403


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


@async_view(ZIP)
async def download(request: HttpRequest) -> HttpResponseBase:
    """Send the ZIP of an export by a link, valid for a few minutes.

    A browser sends no bearer token for a link, so the link itself is the permission. The link ends
    with the session of the request. A bucket sends the ZIP itself. From a folder the ZIP is read
    in pieces, at the speed of the client. So a slow client takes neither memory nor a thread.
    """
    session, export = await in_thread(find_linked_export, request.GET.get("token", ""))
    try:
        await on_storage(blobs.size, export.key)
    except blobs.BlobMissing as error:
        raise DataExport.DoesNotExist from error
    disposition = f'attachment; filename="gemchatroom-{export.requested_at:%Y-%m-%d}.zip"'
    address = await on_storage(address_of, export.key, ZIP, disposition)
    if address is not None:
        await in_thread(record_download, export, client_from_request(request))
        return safe(HttpResponseRedirect(address))
    read = live_reads_of(request).open(session)
    await in_thread(record_download, export, client_from_request(request))
    response = StreamingHttpResponse(
        pieces(export.key, 0, (export.size or 0) - 1, read), content_type=ZIP
    )
    response["Content-Disposition"] = disposition
    response["Content-Length"] = str(export.size)
    return safe(response)


def find_linked_export(token: str) -> tuple[Session, DataExport]:
    """Find the session of a link, and the export.

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
    return session, export


def record_download(export: DataExport, client: Client) -> None:
    AuditEvent.objects.record(
        PrivacyAction.EXPORT_DOWNLOADED,
        user_id=export.user_id,
        target=str(export.pk),
        client=client,
    )

"""GET /file/{id}/content and /thumbnail: examined bytes, by a token or a signed address.

A bucket sends the bytes itself, after a redirect to an address for a minute. From a folder each
piece is read in a thread, and the file is closed between two pieces. So a slow reader holds neither
a thread nor an open file.
"""

import re
from collections.abc import AsyncGenerator
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from accounts.api.live_reads import LiveRead, SessionEnded, live_reads_of
from accounts.models import Session
from files.api.serializers import CONTENT_VIEW, THUMBNAIL_VIEW
from files.api.signatures import is_signed
from files.api.uploads import on_storage
from files.api.views import own_file_or_raise, signed_in
from files.models import File
from files.storage import blobs
from gemchat.api.async_views import async_view, in_thread
from gemchat.api.errors import DomainError

PIECE_BYTES = 256 * 1024
POLICY = "sandbox; default-src 'none'"
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
ANY = ("*/*", "image/*", "audio/*", "text/*", "application/*")


class BlobGone(Exception):
    """The bytes were deleted during the download; the connection ends in mid-file."""


class RangeNotSatisfiable(DomainError):
    code = "range_not_satisfiable"
    message = "The file has no such range."
    status = 416


@async_view(*ANY, methods=("GET", "HEAD"))
async def content(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """The bytes of a file."""
    file, session = await in_thread(readable_file_or_raise, request, file_id, CONTENT_VIEW)
    return await download(request, file, session, is_thumbnail=False)


@async_view(*ANY, methods=("GET", "HEAD"))
async def thumbnail(request: HttpRequest, file_id: str) -> HttpResponseBase:
    """The small picture of a picture."""
    file, session = await in_thread(readable_file_or_raise, request, file_id, THUMBNAIL_VIEW)
    if file.kind != File.Kind.IMAGE:
        raise File.DoesNotExist
    return await download(request, file, session, is_thumbnail=True)


def readable_file_or_raise(
    request: HttpRequest, file_id: str, name: str
) -> tuple[File, Session | None]:
    """Return a ready file and the session; a signed address has no session.

    Raises AuthenticationFailed, and File.DoesNotExist for a wrong signature too.
    """
    if signature := request.GET.get("signature"):
        ready = File.objects.select_related("user").filter(user__is_active=True)
        file = ready.get(pk=file_id, status=File.Status.READY)
        expires = request.GET.get("expires", "")
        if not is_signed(file, name, expires=expires, signature=signature):
            raise File.DoesNotExist
        return file, None
    session = signed_in(request)
    file = own_file_or_raise(session.user, file_id)
    if file.status != File.Status.READY:
        raise File.DoesNotExist
    return file, session


async def download(
    request: HttpRequest, file: File, session: Session | None, *, is_thumbnail: bool
) -> HttpResponseBase:
    """Redirect to the bucket, or send the bytes. Raises TooManyLiveReads, TooManyClients."""
    key = blobs.thumbnail_key(file.key) if is_thumbnail else file.key
    media_type = "image/webp" if is_thumbnail else file.media_type
    content_type = f"{media_type}; charset=utf-8" if media_type == "text/plain" else media_type
    # Only a picture of this program's own encoding is displayed as a page.
    is_attachment = file.kind != File.Kind.IMAGE
    disposition = content_disposition_header(is_attachment, file.name) or "inline"
    address = await on_storage(address_of, key, content_type, disposition)
    if address is not None:
        return safe(HttpResponseRedirect(address))
    try:
        size = await on_storage(blobs.size, key)
    except blobs.BlobMissing as error:
        raise File.DoesNotExist from error
    first, last = requested_range(request, size)
    reads = live_reads_of(request)
    if session is None:
        reads.open_without_session(file.user_id)
    read = reads.open(session) if session else None
    response = StreamingHttpResponse(pieces(key, first, last, read), content_type=content_type)
    if (first, last) != (0, size - 1):
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    response["Content-Length"] = str(last - first + 1)
    response["Accept-Ranges"] = "bytes"
    response["Content-Disposition"] = disposition
    return safe(response)


def address_of(key: str, content_type: str, disposition: str) -> str | None:
    with blobs.failures_as_unavailable():
        return blobs.storage().address(
            key, ResponseContentType=content_type, ResponseContentDisposition=disposition
        )


def safe(response: Any) -> HttpResponse:
    """Set the headers that let no stored byte act in a browser."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = POLICY
    return response


def requested_range(request: HttpRequest, size: int) -> tuple[int, int]:
    """Return the first and the last byte to send. Raises RangeNotSatisfiable.

    Several ranges, and a range with a condition, get the whole file.
    """
    whole = (0, size - 1)
    found = RANGE.fullmatch(request.headers.get("Range", "").strip())
    if found is None or "If-Range" in request.headers or found.groups() == ("", ""):
        return whole
    start, end = found.groups()
    if not start:
        first, last = max(0, size - int(end)), size - 1
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
        if end and int(end) < first:
            return whole
    if first > last or first >= size:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return first, last


async def pieces(
    key: str, first: int, last: int, read: LiveRead | None = None
) -> AsyncGenerator[bytes]:
    """Yield the bytes of a range of a blob. Raises BlobGone and SessionEnded."""
    while first <= last:
        if read and read.has_ended:
            raise SessionEnded
        size = min(PIECE_BYTES, last - first + 1)
        piece = await on_storage(read_piece, key, first, size)
        if not piece:
            raise BlobGone
        yield piece
        first += len(piece)


def read_piece(key: str, position: int, size: int) -> bytes:
    try:
        with blobs.opened(key) as stored:
            stored.seek(position)
            return stored.read(size)
    except blobs.BlobMissing as error:
        raise BlobGone from error

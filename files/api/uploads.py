"""Receive uploads in flat memory, without a thread between two pieces.

The body goes to a temporary file without a name, so a crash leaves nothing. A row reserves the
space before the first byte; a lease gives the space back after a crash. Only examined bytes are
ever sent to a client.
"""

import asyncio
import hashlib
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, Any, TypeVar, cast

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.auth import rate_limits
from accounts.models import LimitHit, User
from billing.plans import Plan, plan_for_user
from files.api.multipart import MULTIPART_OVERHEAD, boundary_of, extract_part
from files.api.names import name_of_header
from files.examination.types import FileType, TextTooLong, UnknownType, detect_type
from files.models import BlobDeletion, File
from files.models.files import UNUSED_LIFETIME, lease_end
from files.models.keys import key_of
from files.statements import reserve_space
from files.storage import blobs
from gemchat.api.async_views import RequestBody, in_thread
from gemchat.api.errors import DomainError
from gemchat.celery import enqueue
from gemchat.stores.errors import STORE_ERRORS

Result = TypeVar("Result")

HOUR = timedelta(hours=1)
# A write holds a thread for this many bytes.
PIECE_BYTES = 256 * 1024
# A client must send so fast, after the first seconds.
LEAST_BYTES_A_SECOND = 16 * 1024
FIRST_SECONDS = 15.0
# Each upload holds an open file.
UPLOADS_AT_ONCE = 200
# A hanging storage must not stop the writes of other uploads.
disk_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="uploads")
storage_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="storage")


class FileTooLarge(DomainError):
    code = "file_too_large"
    message = "The file is larger than your plan allows."
    status = 413


class LengthRequired(DomainError):
    code = "length_required"
    message = "Send Content-Length, or send the body in chunks."
    status = 411


class UnsupportedFileType(DomainError):
    code = "unsupported_file_type"
    message = (
        "Files may be JPEG, PNG, WEBP or GIF pictures, PDF, text in UTF-8, or WAV, MP3, AIFF, AAC,"
        " OGG or FLAC audio."
    )
    status = 415


class EmptyFile(DomainError):
    code = "file_empty"
    message = "The file is empty."
    status = 422


class StorageFull(DomainError):
    code = "storage_full"
    message = "Your files take all the space of your plan. Delete files, or upgrade to Pro."
    status = 429


class TooSlow(DomainError):
    code = "request_timeout"
    message = "The body did not arrive in time."
    status = 408


class TooManyUploads(DomainError):
    code = "overloaded"
    message = "Too many uploads are in progress here. Try again in a moment."
    status = 503


class UploadEnded(DomainError):
    """The row of the upload is gone, as after the erasure of the account."""

    code = "upload_ended"
    message = "The upload was ended before its end. Send the file again."
    status = 409


@dataclass
class Upload:
    """An upload in progress, with the space that its row reserves."""

    user: User
    name: str
    reserved: int
    boundary: bytes | None
    hits: list[LimitHit] = field(default_factory=list)
    file_id: uuid.UUID = field(default_factory=uuid7)


@dataclass(frozen=True)
class Received:
    """The bytes of an upload in a temporary file."""

    file: IO[Any]
    name: str
    size: int
    sha256: bytes
    type: FileType


_uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)


async def receive_upload(request: HttpRequest, user: User) -> tuple[File, bool]:
    """Receive and store a file; False for a file that the user has already.

    Raises the errors of this module, and StorageUnavailable.
    """
    body: RequestBody = request.scope["state"]["body"]  # type: ignore[attr-defined]
    if _uploads.locked():
        raise TooManyUploads(retry_after=5)
    async with _uploads:
        upload = begin(request, user)
        await in_thread(reserve, upload)
        try:
            async with renewed_lease(upload.file_id):
                file, is_new = await receive(upload, body)
        except (blobs.StorageUnavailable, OSError) as error:
            # An OSError is of a full disk under the temporary folder, also at a file's end.
            await in_thread(give_back, upload)
            raise blobs.StorageUnavailable from error
        except BaseException:
            await in_thread(drop, upload.file_id)
            raise
    if not file.is_examined:
        # For the same bytes too: the first upload may have ended before its task was sent.
        await in_thread(enqueue, "files.tasks.examine")
    return file, is_new


def begin(request: HttpRequest, user: User) -> Upload:
    """Check the headers of an upload. Raises the errors of this module, and InvalidName."""
    plan = plan_for_user(user)
    boundary = boundary_of(request.headers.get("Content-Type", ""))
    most = plan.file_max_bytes + (MULTIPART_OVERHEAD if boundary else 0)
    length = request.headers.get("Content-Length")
    if length is None and "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
        raise LengthRequired
    if length is not None and int(length) > most:
        raise too_large(plan)
    if length == "0":
        raise EmptyFile
    # The part of a multipart body has the name.
    disposition = request.headers.get("Content-Disposition", "")
    name = "" if boundary else name_of_header(disposition)
    return Upload(
        user=user,
        name=name,
        reserved=int(length) if length is not None else most,
        boundary=boundary,
    )


def too_large(plan: Plan) -> FileTooLarge:
    return FileTooLarge(
        f"A file may have {plan.file_max_bytes / 1024**2:g} MiB.", limit=plan.file_max_bytes
    )


def reserve(upload: Upload) -> None:
    """Count the upload and reserve its space. Raises RateLimited, StorageFull."""
    plan = plan_for_user(upload.user)
    upload.hits = rate_limits.take(
        kind=LimitHit.Kind.UPLOAD,
        subject=str(upload.user.pk),
        allowed=[(plan.uploads_per_hour, HOUR)],
    )
    now = timezone.now()
    if not reserve_space(
        file_id=upload.file_id,
        user_id=upload.user.pk,
        name=upload.name,
        size=upload.reserved,
        limit=plan.storage_bytes,
        lease=lease_end(),
        now=now,
        erase_at=now + UNUSED_LIFETIME,
    ):
        raise StorageFull


@asynccontextmanager
async def renewed_lease(file_id: uuid.UUID) -> AsyncIterator[None]:
    """Renew the lease within the block."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(settings.FILE_LEASE_SECONDS / 3)
            # A lease that ends for want of a store ends the upload, which then answers 409.
            with suppress(*STORE_ERRORS):
                await in_thread(renew_upload, file_id)

    renewal = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewal.cancel()


async def receive(upload: Upload, body: RequestBody) -> tuple[File, bool]:
    """Read the body, and store new bytes."""
    folder = blobs.make_temporary_folder()
    with tempfile.TemporaryFile(dir=folder) as raw:
        await read_body(body, raw, most=upload.reserved, plan=plan_for_user(upload.user))
        with tempfile.TemporaryFile(dir=folder) as part:
            received = await on_disk(inspect, upload, raw, part)
            user_id = upload.user.pk
            same = await in_thread(find_same_bytes, user_id, received.sha256)
            if same is None:
                await on_storage(blobs.save, key_of(upload.file_id), received.file)
            return await in_thread(finish, upload, received, same)


async def read_body(body: RequestBody, file: IO[bytes], *, most: int, plan: Plan) -> None:
    """Write the body to the file, in threads. Raises FileTooLarge, TooSlow."""
    began, size, waiting = time.monotonic(), 0, bytearray()
    pieces = body.pieces()
    try:
        while True:
            deadline = began + max(FIRST_SECONDS, size / LEAST_BYTES_A_SECOND)
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                piece = await anext(pieces, None)
            if piece is None:
                break
            size += len(piece)
            if size > most:
                raise too_large(plan)
            waiting += piece
            if len(waiting) >= PIECE_BYTES:
                await on_disk(file.write, bytes(waiting))
                waiting.clear()
    except TimeoutError as error:
        raise TooSlow from error
    finally:
        await pieces.aclose()
    await on_disk(file.write, bytes(waiting))


def inspect(upload: Upload, raw: IO[Any], part: IO[Any]) -> Received:
    """Find the file in the body, with its name, digest and type."""
    plan, file, name = plan_for_user(upload.user), raw, upload.name
    if upload.boundary is not None:
        name = extract_part(raw, boundary=upload.boundary, part=part)
        file = part
    size = file.seek(0, 2)
    if size == 0:
        raise EmptyFile
    if size > plan.file_max_bytes:
        raise too_large(plan)
    file.seek(0)
    sha256 = hashlib.file_digest(cast(Any, file), "sha256").digest()
    try:
        found = detect_type(file)
    except UnknownType as error:
        raise UnsupportedFileType from error
    except TextTooLong as error:
        raise FileTooLarge("A text may have 1 MiB.") from error
    return Received(file, name, size, sha256, found)


def find_same_bytes(user_id: uuid.UUID, sha256: bytes) -> File | None:
    return File.objects.same_bytes(user_id=user_id, sha256=sha256)


def finish(upload: Upload, received: Received, same: File | None) -> tuple[File, bool]:
    """Mark the file received, or return the same file of another upload. Raises UploadEnded."""
    if same is None:
        file = File.objects.receive(
            file_id=upload.file_id,
            name=received.name,
            sha256=received.sha256,
            size=received.size,
            kind=received.type.kind,
            media_type=received.type.media_type,
        )
        if file is not None:
            return file, True
        # Another upload of the same bytes was faster, or the row is gone with its user.
        BlobDeletion.objects.enqueue(key=key_of(upload.file_id))
        same = find_same_bytes(upload.user.pk, received.sha256)
    drop(upload.file_id)
    if same is None:
        raise UploadEnded
    return same, False


def drop(file_id: uuid.UUID) -> None:
    """Give the space of an unfinished upload back; a trigger queues the deletion of bytes."""
    File.objects.filter(pk=file_id, status=File.Status.RECEIVING).delete()


def renew_upload(file_id: uuid.UUID) -> None:
    File.objects.renew_lease(file_id=file_id, status=File.Status.RECEIVING)


def give_back(upload: Upload) -> None:
    """Drop an upload that the storage failed; the upload counts against no limit."""
    drop(upload.file_id)
    LimitHit.objects.filter(pk__in=[hit.pk for hit in upload.hits]).delete()


async def on_disk(function: Callable[..., Result], *args: Any) -> Result:
    """Run a function with work on temporary files. Raises OSError on a full disk."""
    return await asyncio.get_running_loop().run_in_executor(disk_threads, function, *args)


async def on_storage(function: Callable[..., Result], *args: Any) -> Result:
    """Run a function with calls of the storage."""
    return await asyncio.get_running_loop().run_in_executor(storage_threads, function, *args)

"""The files of a context as parts of a request."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from django.db import connection

from files.models import File
from files.storage import blobs
from messaging.gemini import (
    Cancellation,
    FileDataPart,
    GeminiError,
    InlineDataPart,
    Part,
    TextPart,
    get_backend,
)
from messaging.models import GeminiModel
from messaging.replies.request.copies import copied_uri

# The bytes of all files in a request without the Files API. More would stop the event loop for
# longer than 17 ms (measured with google-genai 3.4).
INLINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileParts:
    """The parts of files by id, and the files with a copy at Google."""

    parts: dict[uuid.UUID, Part]
    copied: list[uuid.UUID]


def file_tokens(file: File, model: GeminiModel | None) -> int:
    """Estimate the tokens of a file for a model; 0 if not sent."""
    if not is_sent(file, model):
        return 0
    if model is None or file.kind == File.Kind.TEXT:
        return file.tokens or 0
    if file.kind == File.Kind.AUDIO:
        return ceil((file.seconds or 0) * model.audio_tokens_per_second)
    return (file.pages or 1) * model.image_tokens


def is_sent(file: File, model: GeminiModel | None) -> bool:
    """Whether a file is there, and the model reads the kind."""
    kinds = model.modalities if model else []
    is_read = file.kind == File.Kind.TEXT or file.kind in kinds
    return is_read and file.status == File.Status.READY


def make_file_parts(
    files: Iterable[File], *, model: GeminiModel | None, cancelled: Cancellation
) -> FileParts:
    """Read files from the storage, and copy large files to Google.

    Raises GeminiError and Cancelled. Afterwards no database connection is held.
    """
    sent = {file.pk: file for file in files}
    try:
        return _make(sent, model=model, cancelled=cancelled)
    except blobs.StorageUnavailable as error:
        raise GeminiError("unavailable", error.message, permanent=False) from None
    finally:
        connection.close()


def _make(
    files: dict[uuid.UUID, File], *, model: GeminiModel | None, cancelled: Cancellation
) -> FileParts:
    parts: dict[uuid.UUID, Part] = {}
    with_bytes: list[File] = []
    for file in files.values():
        if not is_sent(file, model):
            parts[file.pk] = _lost_part(file)
        elif not get_backend().reads_files:
            parts[file.pk] = TextPart(f"({file.name})\n")
        elif file.kind == File.Kind.TEXT:
            parts[file.pk] = _text_part(file)
        else:
            with_bytes.append(file)
    if sum(file.size for file in with_bytes) <= INLINE_BYTES:
        return FileParts(parts | {file.pk: _inline_part(file) for file in with_bytes}, [])
    copies: dict[uuid.UUID, Part] = {
        file.pk: FileDataPart(file.media_type, uri) if uri else _lost_part(file)
        for file in with_bytes
        for uri in [copied_uri(file, cancelled)]
    }
    return FileParts(parts | copies, list(copies))


def _text_part(file: File) -> Part:
    content = _read(file)
    if content is None:
        return _lost_part(file)
    return TextPart(f"{file.name}:\n\n{content.decode(errors='replace')}\n\n")


def _inline_part(file: File) -> Part:
    content = _read(file)
    return _lost_part(file) if content is None else InlineDataPart(file.media_type, content)


def _lost_part(file: File) -> Part:
    return TextPart(f"({file.name} is not here.)\n")


def _read(file: File) -> bytes | None:
    """Return the bytes of a file; None for bytes that the storage has lost."""
    try:
        with blobs.opened(file.key) as stored:
            content: bytes = stored.read()
    except blobs.BlobMissing:
        return None
    return content

"""The type of a file, by its first bytes alone."""

import codecs
import re
from dataclasses import dataclass
from typing import IO

import filetype

MIB = 1024 * 1024
HEAD_BYTES = 8192
MOST_TEXT_BYTES = MIB
TEXT = "text/plain"
SVG_ROOT = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?svg[\s>/]", re.I)
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# The types that Gemini reads, by the name of `filetype`.
KINDS = {
    "image/jpeg": ("image", "image/jpeg"),
    "image/png": ("image", "image/png"),
    "image/webp": ("image", "image/webp"),
    "image/gif": ("image", "image/gif"),
    "application/pdf": ("pdf", "application/pdf"),
    "audio/x-wav": ("audio", "audio/wav"),
    "audio/mpeg": ("audio", "audio/mpeg"),
    "audio/x-aiff": ("audio", "audio/aiff"),
    "audio/aac": ("audio", "audio/aac"),
    "audio/ogg": ("audio", "audio/ogg"),
    "audio/x-flac": ("audio", "audio/flac"),
}


@dataclass(frozen=True)
class FileType:
    kind: str
    media_type: str


class UnknownType(Exception):
    """The bytes are of no supported type."""


class TextTooLong(Exception):
    """A text has more than MOST_TEXT_BYTES."""


def detect_type(file: IO[bytes]) -> FileType:
    """Detect the type of a whole file. Raises UnknownType, TextTooLong."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if found := filetype.guess(head):
        if found.mime not in KINDS:
            raise UnknownType
        return FileType(*KINDS[found.mime])
    if b"\0" in head and not head.startswith(UTF16):
        raise UnknownType
    file.seek(0)
    received = file.read(MOST_TEXT_BYTES + 1)
    if SVG_ROOT.search(decoded_head(received)):
        raise UnknownType
    if len(received) > MOST_TEXT_BYTES:
        raise TextTooLong
    decode_text(received)
    return FileType("text", TEXT)


def decoded_head(received: bytes) -> bytes:
    """Return the first bytes in ASCII, for a search of a root element."""
    encoding = "utf-16" if received.startswith(UTF16) else "utf-8"
    return received[:HEAD_BYTES].decode(encoding, "replace").encode("ascii", "replace")


def decode_text(received: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark. Raises UnknownType."""
    encoding = "utf-16" if received.startswith(UTF16) else "utf-8-sig"
    try:
        text = received.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnknownType from error
    if "\0" in text:
        raise UnknownType
    return text

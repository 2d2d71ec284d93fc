"""Copies of files at Google's Files API, by google-genai for both Google backends.

google-generativeai cannot upload to another host than Google's. A call takes a thread, since the
conversion of large bytes would stop an event loop.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings

from messaging.gemini.base import Cancellation, GeminiError
from messaging.gemini.failures import failure_for, unavailable
from messaging.gemini.process import PerProcess
from messaging.gemini.responses.messages import UNREADABLE, Refusal

if TYPE_CHECKING:
    from google import genai

STATE_POLL_SECONDS = 0.5
# Google's answer for a copy that has expired, or is of another project, or never was.
GONE = frozenset({403, 404})

_clients: PerProcess[genai.Client] = PerProcess()


class WatchedFile(io.RawIOBase):
    """A file for the SDK; a read raises Cancelled, or GeminiError after the time."""

    def __init__(self, file: IO[bytes], cancelled: Cancellation) -> None:
        self._file = file
        self._cancelled = cancelled
        self._ends_at = monotonic() + settings.GEMINI_UPLOAD_SECONDS

    def read(self, size: int = -1) -> bytes:
        self.check()
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def check(self) -> None:
        self._cancelled.raise_if_set()
        if monotonic() > self._ends_at:
            raise refused_upload()


def key_digest() -> str:
    """Return a digest of the API key: another key has no access to a copy."""
    key = f"{settings.GEMINI_API_BASE} {settings.GOOGLE_API_KEY}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def upload(file: IO[bytes], *, name: str, media_type: str, cancelled: Cancellation) -> str:
    """Copy a file to Google under `name`, and return the address for requests.

    `name` is as "files/0194…". Raises GeminiError and Cancelled.
    """
    with _failures():
        # First: the import of the SDK takes a second.
        files = _client().files
        watched = WatchedFile(file, cancelled)
        copy = files.upload(file=watched, config={"name": name, "mime_type": media_type})
        while copy.state == "PROCESSING":
            cancelled.wait(STATE_POLL_SECONDS)
            watched.check()
            copy = files.get(name=name)
    if not copy.uri or copy.state == "FAILED":
        raise refused_upload()
    return copy.uri


def delete(name: str) -> None:
    """Delete a copy; an absent copy is a success. Raises GeminiError."""
    from google.genai.errors import APIError

    with _failures():
        try:
            _client().files.delete(name=name)
        except APIError as error:
            if error.code not in GONE:
                raise


def refused_upload() -> GeminiError:
    return unavailable("Google does not take the files of the message. Try again in a moment.")


@contextmanager
def _failures() -> Iterator[None]:
    """Raise a GeminiError for every failure of the SDK."""
    import httpx2
    from google.genai.errors import APIError

    failed = None
    try:
        yield
    except APIError as error:
        failed = failure_for(Refusal(error.code, error.details))
    except (httpx2.HTTPError, OSError, *UNREADABLE):
        failed = refused_upload()
    # Outside the except block: the exception holds bodies and headers.
    if failed is None:
        return
    if failed.provider_code.startswith(("400", "401", "403")) and failed.code == "misconfigured":
        raise GeminiError(
            "misconfigured",
            "The API key may not store files at Google. The operator must check it.",
        )
    raise refused_upload()


def _client() -> genai.Client:
    key, base = settings.GOOGLE_API_KEY, settings.GEMINI_API_BASE
    milliseconds = int(settings.GEMINI_UPLOAD_SECONDS * 1000)
    return _clients.get((key, base), lambda: _make_client(key, base, milliseconds))


def _make_client(key: str, base: str, milliseconds: int) -> genai.Client:
    from google import genai
    from google.genai import types

    options: Any = types.HttpOptions(
        base_url=base or None, api_version="v1beta", timeout=milliseconds
    )
    return genai.Client(vertexai=False, api_key=key, http_options=options)

"""Server-sent events of Gemini in the single form that google-genai 3.4 reads.

The SDK takes each line that does not start with "data: " for JSON. httpx2 reads the whole standard.
The module is imported together with the SDK, at the first use.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import httpx2

from messaging.gemini.responses.messages import (
    MOST_ERROR_BYTES,
    ForeignAnswer,
    MessageReader,
    Refusal,
    decoder,
    json_or_none,
)

EVENT_STREAM = "text/event-stream"
# A gateway may send a whole answer as a single event.
MOST_EVENT_BYTES = 16_777_216
# Gemini sends an error in mid-stream as bare JSON, in lines without a field name.
_BARE_ERROR = re.compile(r'(?<=[\r\n])\{\s*"error"')
_TAIL_CHARACTERS = 16_384


async def patch_response(response: httpx2.Response) -> None:
    """Replace the stream of a response; raises Refusal and ForeignAnswer."""
    if response.status_code != 200:
        body = json_or_none(await _error_bytes(response))
        raise Refusal(response.status_code, body, response.headers)
    content_type = response.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != EVENT_STREAM:
        raise ForeignAnswer(content_type)
    received = _Received(
        200, headers=response.headers, stream=response.stream, request=response.request
    )
    received.encoding = "utf-8-sig"
    response.stream = _Messages(received)
    # The new stream is not compressed.
    response.headers.pop("content-encoding", None)


async def _error_bytes(response: httpx2.Response) -> bytes:
    body = b""
    # A broken body leaves the status.
    with suppress(httpx2.HTTPError):
        async for received in response.aiter_bytes():
            body += received
            if len(body) > MOST_ERROR_BYTES:
                break
    return body


class _Received(httpx2.Response):
    """The response of Gemini; `tail` is the end of the text so far."""

    tail = "\n"

    async def aiter_text(self, chunk_size: int | None = None) -> AsyncGenerator[str, None]:
        async for text in super().aiter_text(chunk_size):
            self.tail = (self.tail + text)[-_TAIL_CHARACTERS:]
            yield text


class _Messages(httpx2.AsyncByteStream):
    """Yields each event of a response as a line for the SDK."""

    def __init__(self, received: _Received) -> None:
        self._received = received

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reader = MessageReader()
        async for event in httpx2.EventSource(self._received, MOST_EVENT_BYTES):
            if not event.data:
                continue
            try:
                message = decoder.decode(event.data)
            except ValueError:
                if event.event == "message":
                    raise
                continue  # an event that is not for us, as a ping of a gateway
            yield b"data: %s\n\n" % json.dumps(reader.read(message)).encode()
        if match := _BARE_ERROR.search(self._received.tail):
            with suppress(ValueError):
                reader.read(decoder.raw_decode(self._received.tail, match.start())[0])

    async def aclose(self) -> None:
        await self._received.aclose()

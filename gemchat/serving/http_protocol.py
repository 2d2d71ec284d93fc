"""HTTP connections with limits missing in uvicorn: `--http` names this class.

A connection of uvicorn waits for ever for the head of a request, and keeps a head of any size. The
connection also writes for ever to a client without reads. Each connection costs a file descriptor
and memory. A thousand idle or slow clients must not starve the others. Written against uvicorn
0.54: docs/upgrading.md.
"""

import asyncio
import socket
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from gemchat.monitoring.metrics import CONNECTIONS
from gemchat.serving.request_body import refusal

HEAD_SECONDS = 10.0
HEAD_BYTES = 64 * 1024
# A client without a read of its answer for this time is gone.
STALLED_SECONDS = 60.0
# At the end of the process an idle connection serves one more request for this time. A proxy may
# have sent the request already, and does not repeat a POST.
LINGER_SECONDS = 0.5
# Connections above WEB_CONNECTIONS get 503, except probes. Connections beyond this second limit are
# closed.
REFUSED_CONNECTIONS = 256


class UnchunkedCycle(RequestResponseCycle):
    """An answer to HTTP/1.0: a body of unknown length ends with the connection."""

    is_unbounded = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            names = [name.lower() for name, _ in message.get("headers", [])]
            self.is_unbounded = b"content-length" not in names
            if self.is_unbounded:
                self.chunked_encoding = False
        elif self.is_unbounded:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class LimitedHttpProtocol(HttpToolsProtocol):
    """A connection that closes on a slow client or a too large head.

    With too many connections, `scope["state"]["is_crowded"]` is true.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_head = False
        self._head_bytes = 0
        self._stalled_timer: asyncio.TimerHandle | None = None
        self._is_ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        CONNECTIONS.inc()
        if len(self.connections) > settings.WEB_CONNECTIONS + REFUSED_CONNECTIONS:
            transport.abort()
            return
        _set_tcp_user_timeout(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_header_timer()
        self._cancel_write_timer()
        CONNECTIONS.dec()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_idle and self._head_timer is None:
            self._await_head()
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._head_is_too_large()

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._cancel_header_timer()
        self.scope["state"]["is_crowded"] = len(self.connections) > settings.WEB_CONNECTIONS
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0" and self.cycle is not None:
            # uvicorn has no hook for another class, and the answer has not begun yet.
            self.cycle.__class__ = UnchunkedCycle
        if self._is_ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        if not self._is_idle:
            super().shutdown()
            return
        self._is_ending = True
        self.loop.call_later(LINGER_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._is_idle and not self._is_in_head:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_timer = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._cancel_write_timer()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "bad_request", msg)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _cancel_header_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_in_head:
            self._refuse(408, "request_timeout", "The head of the request did not arrive in time.")
        else:
            self.transport.close()

    def _head_is_too_large(self) -> None:
        if self._is_idle:
            self._refuse(431, "head_too_large", "The head of the request is too large.")
        else:
            # The client sent this head during another answer, so no answer can be sent.
            self.transport.abort()

    def _cancel_write_timer(self) -> None:
        if self._stalled_timer is not None:
            self._stalled_timer.cancel()
            self._stalled_timer = None

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer instead of the application, and close the connection."""
        self._cancel_header_timer()
        response = refusal(status, code, detail)
        head = "".join(f"{name}: {value}\r\n" for name, value in response.items())
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n" + response.content)
        self.transport.close()


def _set_tcp_user_timeout(transport: asyncio.Transport) -> None:
    """Limit the kernel's last writes of a closed connection, unseen by the timers here."""
    connection = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has this option.
    if option is not None and connection is not None and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, option, int(STALLED_SECONDS * 1000))

"""Close the connection of a waiting thread on a cancellation, below the older SDK.

The SDK has no way to stop a call from another thread, and a thread inside `recv` sees no flag. So
the socket is shut down: `recv` returns at once, and upstream sees the end.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from messaging.gemini.base import Cancellation

# The deadlines of `stream_reply` end a silent read long before the backstop.
BACKSTOP_SECONDS = 600.0

_thread = threading.local()


@contextmanager
def cancellable(cancelled: Cancellation) -> Iterator[None]:
    """End the current thread's reads and writes within the block when `cancelled` is set."""
    _thread.cancelled = cancelled
    try:
        yield
    finally:
        _thread.cancelled = None


@contextmanager
def close_socket_on_cancel(sock: socket.socket | None) -> Iterator[None]:
    """Surround a blocking call on `sock`: a pooled connection is never closed later."""
    cancelled: Cancellation | None = getattr(_thread, "cancelled", None)
    if cancelled is None or sock is None:
        yield
        return
    with cancelled.on_cancel(lambda: _shut_down(sock)):
        yield


def _shut_down(sock: socket.socket) -> None:
    try:
        # Not SSLSocket's shutdown: SSLSocket would remove the TLS state of the reading thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # upstream has closed the socket

"""Lets a cancellation cut the connection that a thread waits on, below the older SDK.

It cannot be told from another thread to stop, and a thread inside `recv` sees no flag. So the
socket is shut down under it: `recv` then returns at once, and upstream sees the end.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from messaging.gemini.base import Cancellation

# A host that does not answer at all; the older SDK can't be cut short there, so it is kept brief.
CONNECT_SECONDS = 5.0
# The clocks of `stream_reply` end a silent read long before; this is for when they do not run.
BACKSTOP_SECONDS = 600.0

_thread = threading.local()


@contextmanager
def cancellable(cancelled: Cancellation) -> Iterator[None]:
    """Within the block, this thread's reads and writes end when `cancelled` is set."""
    _thread.cancelled = cancelled
    try:
        yield
    finally:
        _thread.cancelled = None


@contextmanager
def close_socket_on_cancel(sock: socket.socket | None) -> Iterator[None]:
    """Around one blocking call on `sock`, so that a pooled connection is never cut later."""
    cancelled: Cancellation | None = getattr(_thread, "cancelled", None)
    if cancelled is None or sock is None:
        yield
        return
    with cancelled.on_cancel(lambda: _shut_down(sock)):
        yield


def _shut_down(sock: socket.socket) -> None:
    try:
        # Not SSLSocket's own shutdown: that takes the TLS state away under the reading thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # upstream was faster

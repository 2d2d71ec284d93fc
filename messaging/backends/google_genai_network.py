"""httpcore2's network layer, with reads and writes that a cancellation can cut.

Imported together with the SDK, and as late.
"""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from .connections import BACKSTOP_SECONDS, CONNECT_SECONDS, cut_on_cancel


def make_interruptible(client: httpx2.Client) -> None:
    """Give the client's pools, the proxies' as well, our network layer.

    httpx2 has no public way: a transport of one's own would lose the proxies that the
    environment names. A release that moves these attributes fails here, at the first reply.
    """
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.HTTPTransport):
            transport._pool._network_backend = _Network()


class _Network(httpcore2.NetworkBackend):
    def __init__(self) -> None:
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(
            self._sockets.connect_tcp(host, port, CONNECT_SECONDS, local_address, socket_options)
        )


class _Stream(httpcore2.NetworkStream):
    """The SDK asks for no timeout at all; each call gets the backstop."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with cut_on_cancel(self._socket):
            return self._stream.read(max_bytes, BACKSTOP_SECONDS)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with cut_on_cancel(self._socket):
            self._stream.write(buffer, BACKSTOP_SECONDS)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        with cut_on_cancel(self._socket):
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, CONNECT_SECONDS))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

"""The ASGI application of the web process: dispatches requests, starts and ends."""

import asyncio
import logging
import resource
import signal
import time
from collections.abc import Callable, Sequence
from inspect import iscoroutinefunction
from types import FrameType
from typing import Any, Protocol

from django.conf import settings
from django.urls import get_resolver

from gemchat.api.async_views import Receive
from gemchat.celery import limit_broker_wait
from gemchat.monitoring.metrics import serve_metrics
from gemchat.monitoring.urls import PROBE_PATH
from gemchat.process import tune_garbage_collector
from gemchat.serving.async_views import Scope, Send
from gemchat.serving.request_body import App, refuse
from gemchat.stores.postgres import limit_database_waits_for_web

logger = logging.getLogger(__name__)

# Open files besides clients: rejected clients, connections to the stores, files of Python.
OTHER_FILES = 512
NO_LIMITS = (
    "Start uvicorn with --http gemchat.asgi:LimitedHttpProtocol, or slow clients have no limits."
)


class Hub(Protocol):
    """State for all streams, from the start of the process to the end."""

    def open(self) -> None: ...

    def end_streams(self) -> None: ...

    async def close(self) -> None: ...


class Application:
    """One ASGI application: gives each request to the handler for the view."""

    def __init__(
        self,
        *,
        sync_views: App,
        async_views: App,
        is_stuck: Callable[[], bool],
        hub: Callable[[], Hub],
        on_start: Sequence[Callable[[], None]] = (),
    ) -> None:
        """`is_stuck` is asked about `sync_views`; `on_start` runs before the first request."""
        self.sync_views = sync_views
        self.async_views = async_views
        self.is_stuck = is_stuck
        self.hub = hub
        self.on_start = on_start
        # Set by `gemchat.asgi` once uvicorn has asked for its HTTP protocol.
        self.has_http_limits = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        scope["state"]["began"] = time.perf_counter()
        scope["scheme"] = client_scheme(scope)
        if scope["type"] == "websocket":
            await receive()
            await refuse(scope, send, 404, "not_found", "There are no WebSockets here.")
        elif PROBE_PATH.fullmatch(scope["path"]):
            scope["state"]["is_stuck"] = self.is_stuck()
            await self._serve(scope, receive, send)
        elif scope["state"].get("is_crowded"):
            await refuse(scope, send, 503, "overloaded", "Too many clients. Try again in a moment.")
        elif not scope["query_string"].isascii():
            # uvicorn rejects such a URL; Django would fail on it.
            await refuse(scope, send, 400, "invalid_encoding", "The URL is not percent-encoded.")
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = scope["state"]["resolver_match"] = get_resolver().resolve(scope["path"])
        serve = self.async_views if iscoroutinefunction(match.func) else self.sync_views
        await serve(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI lifespan, the lifetime of the hub."""
        await receive()
        if not self.has_http_limits:
            await send({"type": "lifespan.startup.failed", "message": NO_LIMITS})
            return
        # Before the first connection.
        limit_database_waits_for_web()
        limit_broker_wait(seconds=1.0)
        allow_open_files(settings.WEB_CONNECTIONS + OTHER_FILES)
        serve_metrics("web")
        tune_garbage_collector()
        for prepare in self.on_start:
            prepare()
        hub = self.hub()
        hub.open()
        end_streams_at_exit(hub)
        scope["state"]["hub"] = hub
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await hub.close()
        await send({"type": "lifespan.shutdown.complete"})


def client_scheme(scope: Scope) -> str:
    """Return the scheme of the client's own connection, by X-Forwarded-Proto of trusted proxies.

    Each trusted proxy sets the header, or appends a value as to X-Forwarded-For. A client may have
    sent the values before. Fewer values come from a proxy that leaves the header alone.
    """
    own: str = scope["scheme"]
    count = settings.TRUSTED_PROXY_COUNT
    if count == 0:
        return own
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    schemes = [each.strip().lower() for each in b",".join(lines).decode("latin1").split(",")]
    believed = schemes[-min(count, len(schemes))]
    return believed if believed in ("http", "https") else own


def allow_open_files(count: int) -> None:
    """Raise the limit of open files to `count`, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count or soft == resource.RLIM_INFINITY:
        return
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < count:
        logger.warning("Open files are limited to %d: WEB_CONNECTIONS asks for %d", most, count)


def end_streams_at_exit(hub: Hub) -> None:
    """End open streams as soon as a signal stops the server.

    uvicorn waits for open responses before the end of the lifespan. So the end of the lifespan is
    too late for a stream; a stream may last ten minutes.
    """
    loop = asyncio.get_running_loop()

    def chain(number: signal.Signals) -> None:
        before: Any = signal.getsignal(number)

        def end_then(received: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(hub.end_streams)
            if callable(before):
                before(received, frame)

        signal.signal(number, end_then)

    chain(signal.SIGTERM)
    chain(signal.SIGINT)

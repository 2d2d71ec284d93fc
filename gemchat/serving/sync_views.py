"""Serves Django's synchronous views in threads, with one change of thread a request.

Written against Django 5.2, with private names: docs/upgrading.md.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.core import signals
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, set_script_prefix

from gemchat.api.async_views import Message
from gemchat.serving.async_views import Scope, Send, use_resolver_match
from gemchat.serving.request_body import refuse
from gemchat.serving.threads import Threads

# With every thread in a wait for a hanging database, an early 503 is better than a queue.
WAIT_FOR_THREAD_SECONDS = 10.0
# A process is stuck when every thread is busy, and no request has ended for this time.
STUCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Lane:
    """Requests to `path` get at most `threads` threads; further ones wait without a thread."""

    path: re.Pattern[str]
    threads: int


class SyncViewHandler(ASGIHandler):
    """Django's ASGI handler, with each request served in one thread from start to end.

    Django's handler changes threads for each synchronous receiver, middleware and view. A WSGI
    server under ASGI (a2wsgi) changes threads for each part of an answer. Either costs 0.3 ms of
    CPU more. The body must have been read (`gemchat.serving.request_body`).
    """

    def __init__(self, *, threads: int, lanes: Sequence[Lane] = ()) -> None:
        super().__init__()
        self._threads = Threads(threads, name="views")
        self._places = asyncio.Semaphore(threads)
        self._lanes = [(lane.path, asyncio.Semaphore(lane.threads)) for lane in lanes]
        self._changed_at = time.monotonic()

    def is_stuck(self) -> bool:
        """Whether every thread is busy, and none has ended a request for STUCK_SECONDS."""
        return self._places.locked() and time.monotonic() - self._changed_at > STUCK_SECONDS

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        return use_resolver_match(request)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        loop = asyncio.get_running_loop()

        def push(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(_send(send, message), loop).result()

        # The lane's permit comes first: a wait for the lane takes nothing from other requests.
        lane = [places for path, places in self._lanes if path.fullmatch(scope["path"])]
        wanted = [*lane, self._places]
        if not await _acquire(wanted):
            detail = "The server is busy. Try again shortly."
            await refuse(scope, send, 503, "overloaded", detail)
            return
        self._changed_at = time.monotonic()
        try:
            rest = await self._threads.run(copy_context().run, self._serve, scope, body, push)
        finally:
            self._changed_at = time.monotonic()
            for places in wanted:
                places.release()
        # The thread is free now, also for a client with slow reads.
        for message in rest:
            await send(message)

    def _serve(self, scope: Scope, body: bytes, push: Callable[[Message], None]) -> list[Message]:
        """Serve a request in the current thread, and return the unsent messages.

        The parts of a streaming response are pushed as soon as the thread makes a part.
        """
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        request, refusal = self.create_request(scope, BytesIO(body))
        response: Any = self.get_response(request) if request is not None else refusal
        if not response.streaming:
            # Without this header the server sends chunks.
            response.headers.setdefault("Content-Length", str(len(response.content)))
        # `close` then sends `request_finished`; the receivers return the database connection.
        response._handler_class = type(self)
        head = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": list(_headers(response)),
        }
        try:
            if not response.streaming:
                return [head, {"type": "http.response.body", "body": response.content}]
            if isinstance(response, FileResponse):
                response.block_size = self.chunk_size
            push(head)
            for piece in response:
                push({"type": "http.response.body", "body": piece, "more_body": True})
            return [{"type": "http.response.body"}]
        finally:
            response.close()
            cut_references(request, response)


async def _acquire(wanted: Sequence[asyncio.Semaphore]) -> bool:
    """Acquire the semaphores in turn; False, with none acquired, after WAIT_FOR_THREAD_SECONDS."""
    must_wait = any(places.locked() for places in wanted)
    acquired: list[asyncio.Semaphore] = []
    try:
        async with asyncio.timeout(WAIT_FOR_THREAD_SECONDS) if must_wait else nullcontext():
            for places in wanted:
                await places.acquire()
                acquired.append(places)
    except TimeoutError:
        return False
    finally:
        if len(acquired) < len(wanted):
            for places in acquired:
                places.release()
    return True


def cut_references(request: HttpRequest | None, response: Any) -> None:
    """Cut the reference cycles of a request, so that Python frees the memory at once.

    Django ties the request to the session, DRF ties request, view and response together. The
    garbage collector takes 6 to 8 % of the CPU of a page of messages for them. Bodies stay in
    memory until the next collection.
    """
    if request is not None:
        vars(request).clear()
    if context := getattr(response, "renderer_context", None):
        for each in (context["view"], context["request"]):
            vars(each).clear()
        context.clear()


def _headers(response: HttpResponseBase) -> Iterator[tuple[bytes, bytes]]:
    for name, value in response.items():
        yield name.encode("ascii"), value.encode("latin1")
    for cookie in response.cookies.values():
        yield b"Set-Cookie", cookie.output(header="").strip().encode("ascii")


async def _send(send: Send, message: Message) -> None:
    await send(message)

"""Shared parts of native async views: a guard, the body, and threads for the database."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    MutableMapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from typing import Any, TypeVar

from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import MethodNotAllowed, NotAcceptable

from gemchat.api.errors import HANDLED_EXCEPTIONS, problem_response_for
from gemchat.stores.postgres import ASYNC_VIEW_THREADS

Result = TypeVar("Result")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]

threads = ThreadPoolExecutor(max_workers=ASYNC_VIEW_THREADS, thread_name_prefix="live")


def async_view(*media_types: str, methods: Sequence[str] = ("GET",)) -> Callable[[View], View]:
    """Do DRF's work for a native async view.

    Check the method, negotiate the media type, and answer handled exceptions with problem
    documents.
    """

    def decorated(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        async def guarded(request: HttpRequest, **captured: str) -> HttpResponseBase:
            if request.method not in methods:
                refused = problem_response_for(MethodNotAllowed(request.method or ""))
                refused["Allow"] = ", ".join(methods)
                return refused
            if not any(map(request.accepts, media_types)):
                return problem_response_for(NotAcceptable())
            try:
                return await view(request, **captured)
            except HANDLED_EXCEPTIONS as error:
                return problem_response_for(error)

        return guarded

    return decorated


async def in_thread(function: Callable[..., Result], *args: Any) -> Result:
    """Run a function with database access, and return its connection to the pool."""

    def run() -> Result:
        try:
            return function(*args)
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, run)


class RequestBody:
    """A body that stays with the client until its view asks for the next piece.

    The server pauses the connection meanwhile, so an upload of any size takes little memory.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_ended = asyncio.Event()
        self._is_gone = False

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the body. After the departure of the client the handler cancels the view."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._is_gone = True
                self._has_ended.set()
                await asyncio.get_running_loop().create_future()
            yield message.get("body", b"")
            if not message.get("more_body", False):
                self._has_ended.set()
                return

    async def wait_for_disconnect(self) -> None:
        """Return after the departure of the client; the view alone reads the body."""
        await self._has_ended.wait()
        if not self._is_gone:
            await self.drain()

    async def drain(self) -> None:
        """Read and drop messages until the departure of the client."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

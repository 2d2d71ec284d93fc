"""Serves native async views at the cost of a coroutine each, and no thread.

A view with the attribute `reads_body` reads its body from `scope["state"]["body"]`, piece by piece.

Written against Django 5.2, with private names: docs/upgrading.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from gemchat.api.async_views import Message, RequestBody
from gemchat.api.middleware import (
    apply_header_middleware,
    as_problem,
    handle_exception,
    reject_malformed,
)
from gemchat.api.request_id import answer_id, begin_request
from gemchat.monitoring.access_log import PROBES, record

CANCEL_SECONDS = 1.0

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task until the task has ended.

    Before Python 3.12 `asyncio.wait_for` of redis-py may lose a cancellation
    (python/cpython#86296). The stream of a departed client would then go on for minutes.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_SECONDS)


def use_resolver_match(request: HttpRequest) -> ResolverMatch:
    """The view of the request's path, found by the web process."""
    match: ResolverMatch = request.scope["state"]["resolver_match"]  # type: ignore[attr-defined]
    request.resolver_match = match
    return match


class AsyncViewHandler(ASGIHandler):
    """Django's async handler without the parts with a thread for each open stream.

    Most of the middleware is synchronous. The synchronous receivers of `request_started` get a
    thread for the length of the request. Views here close their database connections.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = [handle_exception]
        self._middleware_chain = self._with_request_id

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request, response = self.create_request(scope, BytesIO())
        began = scope["state"]["began"]
        body = scope["state"]["body"] = RequestBody(receive)
        reads_body = getattr(scope["state"]["resolver_match"].func, "reads_body", False)
        wait = body.wait_for_disconnect if reads_body else body.drain
        serving = asyncio.create_task(self._serve(request, response, send, began))
        leaving = asyncio.create_task(wait())
        try:
            await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_task(leaving)
            await end_task(serving)
        if not serving.cancelled() and (error := serving.exception()):
            raise error

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        return use_resolver_match(request)

    async def _serve(self, request: Any, response: Any, send: Any, began: float) -> None:
        response = response or await self.get_response_async(request)
        try:
            await self.send_response(response, send)
        finally:
            response.close()
            if request is not None:
                record(request, response.status_code, began=began)

    async def _with_request_id(self, request: HttpRequest) -> HttpResponseBase:
        begin_request(request.META.get("HTTP_X_REQUEST_ID", ""))
        view: Any = convert_exception_to_response(self._get_response_async)  # type: ignore[attr-defined]
        # A load balancer may call the process by the process's address.
        is_probe = request.path_info.rstrip("/") in PROBES
        refusal = None if is_probe else reject_malformed(request)
        response = apply_header_middleware(
            request, refusal or as_problem(request, await view(request))
        )
        response["X-Request-ID"] = answer_id()
        return response

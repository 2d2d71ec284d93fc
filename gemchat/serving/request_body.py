"""Reads the body of a request before a thread serves the request.

In a thread, a slow client would hold the thread. Django reads a chunked body as empty, since such a
body has no Content-Length. So the body is read here, with a limit of size and of time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO

from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse

from gemchat.api.async_views import Message, Receive
from gemchat.api.errors import DEPENDENCY_RETRY_SECONDS, problem_response
from gemchat.api.middleware import apply_header_middleware
from gemchat.api.parsers import body_limit
from gemchat.api.request_id import answer_id, begin_request, end_request
from gemchat.monitoring.access_log import UNKNOWN, log
from gemchat.serving.async_views import Scope, Send

BODY_SECONDS = 15.0
# A request with neither header has no body (RFC 9112, 6.3).
BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BodyTooLarge(Exception):
    pass


class ClientGone(Exception):
    pass


class RequestBodyMiddleware:
    """ASGI middleware: answers 413 over the limit of the view, and 408 after 15 seconds."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not any(name in BODY_HEADERS for name, _ in scope["headers"]):
            await self.app(scope, receive, send)
            return
        limit = body_limit(scope["state"]["resolver_match"].func)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._read(scope, receive, limit)
        except BodyTooLarge:
            detail = f"A body may have {limit // 1024} KiB."
            await refuse(scope, send, 413, "body_too_large", detail)
        except TimeoutError:
            await refuse(scope, send, 408, "request_timeout", "The body did not arrive in time.")
        except ClientGone:
            return
        else:
            await self.app(with_length(scope, len(body)), replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive, limit: int) -> bytes:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            raise BodyTooLarge
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > limit:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return bytes(body)


def with_length(scope: Scope, length: int) -> Scope:
    """Return the scope with the length of the whole body, chunked or not."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"transfer-encoding", b"content-length")
    ]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}


def replay(body: bytes, receive: Receive) -> Receive:
    """Make a `receive` with the body read so far, then further messages."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed


async def refuse(scope: Scope, send: Send, status: int, code: str, detail: str) -> None:
    """Answer with a problem document instead of Django."""
    request = ASGIRequest({"method": "GET", **scope, "query_string": b""}, BytesIO())
    candidate_id = request.headers.get("X-Request-ID", "")
    problem = refusal(status, code, detail, candidate_id=candidate_id)
    response = apply_header_middleware(request, problem)
    headers = [(name.encode(), value.encode()) for name, value in response.items()]
    kind = "websocket.http" if scope["type"] == "websocket" else "http"
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": problem.content})
    log(UNKNOWN, scope.get("method"), status, scope["state"]["began"])


def refusal(status: int, code: str, detail: str, *, candidate_id: str = "") -> JsonResponse:
    """Make a problem document with an end of the connection, after an unread body."""
    tokens = begin_request(candidate_id)
    response = problem_response(status=status, code=code, detail=detail)
    response["X-Request-ID"] = answer_id()
    response["Content-Length"] = str(len(response.content))
    response["Connection"] = "close"
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = str(DEPENDENCY_RETRY_SECONDS)
    end_request(tokens)
    return response

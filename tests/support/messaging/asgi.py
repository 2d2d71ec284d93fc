"""Call the whole ASGI application, with its async views, as a server does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from accounts.models import User
from gemchat.asgi import application
from messaging.streaming.hub import StreamHub
from tests.support.plugins.cast import api_for

Send = Callable[[dict[str, Any]], Awaitable[None]]


def ask(
    path: str,
    user: User | None = None,
    *,
    method: str = "GET",
    send: Send | None = None,
    headers: dict[str, str] | None = None,
    pieces: Iterable[bytes] = (),
    slow_pieces: AsyncIterator[bytes] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body of the application's answer.

    The client sends `pieces` as the body, and waits after the last piece. `slow_pieces` come in
    their own time, before the others.
    """
    given = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    path, _, query = path.partition("?")
    authorization = api_for(user)._credentials["HTTP_AUTHORIZATION"] if user else ""
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [
            (b"host", b"testserver"),
            *([(b"authorization", authorization.encode())] if user else []),
            *given,
        ],
        "state": {"hub": StreamHub()},
    }
    messages: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    unsent = [*parts[:-1], *({**part, "more_body": False} for part in parts[-1:])]

    async def receive() -> dict[str, Any]:
        if slow_pieces is not None and (piece := await anext(slow_pieces, None)) is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        return unsent.pop(0) if unsent else await asyncio.get_running_loop().create_future()

    async def kept(message: dict[str, Any]) -> None:
        messages.append(message)
        if send:
            await send(message)

    asyncio.run(application(scope, receive, kept))
    answered = {name.decode().lower(): value.decode() for name, value in messages[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], answered, body

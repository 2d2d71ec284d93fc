"""Asks the whole ASGI application, native async views among it, as a server would."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from accounts.models import User
from conftest import api_for
from gemchat.asgi import application
from messaging.streaming.hub import StreamHub

Send = Callable[[dict[str, Any]], Awaitable[None]]


def ask(
    path: str, user: User | None = None, *, method: str = "GET", send: Send | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body that the application answers with."""
    path, _, query = path.partition("?")
    authorization = api_for(user)._credentials["HTTP_AUTHORIZATION"] if user else ""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"testserver"), (b"authorization", authorization.encode())],
        "state": {"hub": StreamHub()},
    }
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    async def kept(message: dict[str, Any]) -> None:
        messages.append(message)
        if send:
            await send(message)

    asyncio.run(application(scope, receive, kept))
    headers = {name.decode().lower(): value.decode() for name, value in messages[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], headers, body

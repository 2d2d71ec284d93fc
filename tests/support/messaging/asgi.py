"""Call the whole ASGI application, with its async views, as a server does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from accounts.models import User
from gemchat.asgi import application
from messaging.streaming.hub import StreamHub
from tests.support.plugins.cast import api_for

Send = Callable[[dict[str, Any]], Awaitable[None]]


def ask(
    path: str, user: User | None = None, *, method: str = "GET", send: Send | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body of the application's answer."""
    path, _, query = path.partition("?")
    authorization = api_for(user)._credentials["HTTP_AUTHORIZATION"] if user else ""
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
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

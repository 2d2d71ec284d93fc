"""The body of a request, read by a native async view piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


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

"""An HTTP/1.1 client on one connection, light enough to leave the figures alone."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Self

MOST_OF_A_CHUNK = 1 << 20


class Connection:
    """Send one request at a time inside `async with Connection(port) as connection`."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, limit=MOST_OF_A_CHUNK
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON of the answer. Raises RuntimeError without a success."""
        pieces = [piece async for piece in self.stream(method, path, body, headers)]
        return json.loads(b"".join(pieces))

    async def stream(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield the body of the answer, chunk by chunk; errors as in `ask`."""
        await self.begin(method, path, body, headers)
        async for piece in self.rest():
            yield piece

    async def begin(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a request and read the head of the answer; `rest` gives the body."""
        self._send(method, path, body, headers or {})
        status, self._length = await self._read_head()
        if status >= 400:
            text = await self._reader.readexactly(self._length or 0)
            raise RuntimeError(f"{method} {path}: {status} {text.decode()}")

    async def rest(self) -> AsyncGenerator[bytes]:
        if self._length is not None:
            yield await self._reader.readexactly(self._length)
            return
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()

    def _send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> None:
        sent = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(sent)}"]
        lines += ["Content-Type: application/json"] if sent else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + sent)

    async def _read_head(self) -> tuple[int, int | None]:
        """Parse status and Content-Length; None for a body in chunks."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status_line, *lines = head.split("\r\n")
        for line in lines:
            if line.startswith("content-length:"):
                return int(status_line.split(" ")[1]), int(line.partition(":")[2])
        return int(status_line.split(" ")[1]), None

"""A TCP proxy on loopback: a bad network, or a server that hangs.

    with Wire("127.0.0.1", 5432) as wire:
        ...                     # clients use wire.port
        wire.fault = Wire.HOLE  # takes connections and bytes, and gives nothing back
        wire.fault = 3.0        # passes everything on, but seconds late
        wire.fault = Wire.DOWN  # resets connections
        wire.fault = None

With a TLS context, clients speak TLS to it, and it speaks plain TCP to the server.
"""

import asyncio
import ssl
import threading
from contextlib import suppress
from typing import Literal

DOWN: Literal["down"] = "down"
HOLE: Literal["hole"] = "hole"


class Wire:
    DOWN = DOWN
    HOLE = HOLE

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = (host, port)
        self._tls = tls
        self._fault: float | str | None = None
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> "Wire":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(5)
        return self

    def __exit__(self, *error: object) -> None:
        self.fault = DOWN
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def fault(self) -> float | str | None:
        return self._fault

    @fault.setter
    def fault(self, fault: float | str | None) -> None:
        async def change() -> None:
            self._fault = fault
            self._changed.set()
            self._changed.clear()
            if fault == DOWN:
                for writer in self._writers:
                    writer.transport.abort()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(5)

    async def _open(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == DOWN:
            writer.transport.abort()
            return
        with suppress(OSError):
            back, forth = await asyncio.open_connection(*self._upstream)
            self._writers |= {writer, forth}
            await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))
            self._writers -= {writer, forth}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while some := await reader.read(65536):
                if isinstance(self._fault, float):
                    await asyncio.sleep(self._fault)
                while self._fault == HOLE:
                    await self._changed.wait()
                writer.write(some)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

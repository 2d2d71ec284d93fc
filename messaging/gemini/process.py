"""The objects of a process. A fork starts without objects, so no socket is shared.

One of the objects is the event loop for all streams, in a single thread. With a thread for each
stream, hundreds of threads wake up for chunks thousands of times a second. Each time the threads
compete for the interpreter's lock, and the CPU of a reply doubles.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from messaging.gemini.base import Cancellation

T = TypeVar("T")
Result = TypeVar("Result")


class PerProcess(Generic[T]):
    """A cache by key. Objects are created under a lock; a fork starts empty.

    A Gemini client of a parent process gave a child's reply to another child's user: both children
    read the same socket. A fork replaces the lock too, since a thread of the parent may have held
    the lock.
    """

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._instances: dict[object, T] = {}

    def get(self, key: object, make: Callable[[], T]) -> T:
        made = self._instances.get(key)
        if made is not None:
            return made
        with self._lock:
            if key not in self._instances:
                self._instances[key] = make()
            return self._instances[key]


_loops: PerProcess[asyncio.AbstractEventLoop] = PerProcess()


def run_in_loop(reading: Coroutine[Any, Any, Result], *, cancelled: Cancellation) -> Result | None:
    """Return the coroutine's result; None if `cancelled` ended the coroutine."""
    loop = _loops.get("loop", _start_loop)
    return asyncio.run_coroutine_threadsafe(_until_cancelled(reading, cancelled), loop).result()


async def _until_cancelled(
    reading: Coroutine[Any, Any, Result], cancelled: Cancellation
) -> Result | None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(reading)
    with cancelled.on_cancel(lambda: loop.call_soon_threadsafe(task.cancel)):
        await asyncio.wait([task])
    return None if task.cancelled() else task.result()


def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="gemini-streams", daemon=True).start()
    return loop

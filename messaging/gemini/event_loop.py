"""The event loop for all streams of a process, in a single thread.

With a thread for each stream, hundreds of threads wake up for chunks thousands of times a second.
Each time the threads compete for the interpreter's lock, and the CPU of a reply doubles.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from messaging.gemini.base import Cancellation
from messaging.gemini.process import PerProcess

Result = TypeVar("Result")


def run(reading: Coroutine[Any, Any, Result], *, cancelled: Cancellation) -> Result | None:
    """Return the coroutine's result; None if `cancelled` ended the coroutine."""
    loop = _loops.get("loop", _start)
    return asyncio.run_coroutine_threadsafe(_until_cancelled(reading, cancelled), loop).result()


async def _until_cancelled(
    reading: Coroutine[Any, Any, Result], cancelled: Cancellation
) -> Result | None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(reading)
    with cancelled.on_cancel(lambda: loop.call_soon_threadsafe(task.cancel)):
        await asyncio.wait([task])
    return None if task.cancelled() else task.result()


def _start() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="gemini-streams", daemon=True).start()
    return loop


_loops: PerProcess[asyncio.AbstractEventLoop] = PerProcess()

"""Looks at something that may hang: one at a time, whoever asks, and nobody waits long."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Found = TypeVar("Found")


class Look(Generic[Found]):
    """Calls `look` in a thread, for all who ask while it is under way.

    A look that hangs keeps its one thread, and none is started beside it: once it has taken
    `patience_seconds`, everybody is told None at once until it comes to an end. What it finds is
    kept for `kept_seconds`. The thread is a daemon, so that a process ends in spite of it.
    """

    def __init__(
        self,
        look: Callable[[], Found],
        *,
        patience_seconds: float,
        kept_seconds: float = 0.0,
    ) -> None:
        self._look = look
        self._patience_seconds = patience_seconds
        self._kept_seconds = kept_seconds
        self._lock = threading.Lock()
        self._under_way: Future[Found | None] | None = None
        self._began_at = 0.0

    async def found(self) -> Found | None:
        """What was found; None if the look failed or takes too long."""
        future, seconds = self._current()
        await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)
        return future.result() if future.done() else None

    def start(self) -> None:
        """Begin to look, for whoever asks soon."""
        self._current()

    def found_in_thread(self) -> Found | None:
        """The same for callers that run no event loop."""
        future, seconds = self._current()
        try:
            return future.result(timeout=seconds)
        except TimeoutError:
            return None

    def _current(self) -> tuple[Future[Found | None], float]:
        """The look to wait for, and for how many seconds."""
        with self._lock:
            now = time.monotonic()
            future = self._under_way
            if future is None or (future.done() and now >= self._began_at + self._kept_seconds):
                self._began_at = now
                self._under_way = future = Future()
                threading.Thread(target=self._run, args=[future], daemon=True, name="look").start()
            return future, max(0.0, self._began_at + self._patience_seconds - now)

    def _run(self, future: Future[Found | None]) -> None:
        try:
            future.set_result(self._look())
        except Exception:
            # The edge of the thread: whoever waits is to hear that there is nothing.
            logger.exception("A look failed")
            future.set_result(None)

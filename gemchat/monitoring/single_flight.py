"""Single flight: one shared call at a time to a service that may hang."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Runs `function` in a thread, once for all callers waiting at the same time.

    A hanging call keeps one thread, and no other call starts beside the call. After
    `patience_seconds` every caller gets None at once, until the call ends. The result is cached for
    `cache_seconds`. The thread is a daemon, so a hanging call does not keep the process alive.
    """

    def __init__(
        self,
        function: Callable[[], Result],
        *,
        patience_seconds: float,
        cache_seconds: float = 0.0,
    ) -> None:
        self._function = function
        self._patience_seconds = patience_seconds
        self._cache_seconds = cache_seconds
        self._lock = threading.Lock()
        self._call: Future[Result | None] | None = None
        self._began_at = 0.0

    async def found(self) -> Result | None:
        """Return the result; None if the call failed or takes too long."""
        future, seconds = self._current()
        await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)
        return future.result() if future.done() else None

    def start(self) -> None:
        """Begin a call now, for a result needed soon."""
        self._current()

    def result_in_thread(self) -> Result | None:
        """Return the result to a caller without an event loop; None as in `result`."""
        future, seconds = self._current()
        try:
            return future.result(timeout=seconds)
        except TimeoutError:
            return None

    def _current(self) -> tuple[Future[Result | None], float]:
        """Return the call to wait for, and for how many seconds."""
        with self._lock:
            now = time.monotonic()
            future = self._call
            if future is None or (future.done() and now >= self._began_at + self._cache_seconds):
                self._began_at = now
                self._call = future = Future()
                threading.Thread(
                    target=self._run, args=[future], daemon=True, name="single-flight"
                ).start()
            return future, max(0.0, self._began_at + self._patience_seconds - now)

    def _run(self, future: Future[Result | None]) -> None:
        try:
            future.set_result(self._function())
        except Exception:
            # The edge of the thread: the callers wait for a result.
            logger.exception("A check failed")
            future.set_result(None)

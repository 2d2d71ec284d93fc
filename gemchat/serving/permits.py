"""Permits: a limit on the threads of this process in one kind of slow work.

A web process has few threads (WEB_THREADS). Slow work in all threads would leave no thread for the
requests of other people. Examples are calls to a hanging vendor, and password hashes.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class NoPermit(Exception):
    """Every permit is taken, and enough threads wait for a permit already."""


class Permits:
    """`count` threads work, and `waiting` more wait at most `patience_seconds` for a permit."""

    def __init__(self, count: int, *, waiting: int = 0, patience_seconds: float = 0.0) -> None:
        self._working = threading.Semaphore(count)
        self._admitted = threading.Semaphore(count + waiting)
        self._patience_seconds = patience_seconds

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a permit within the block. Raises NoPermit, at once or after the patience."""
        if not self._admitted.acquire(blocking=False):
            raise NoPermit
        try:
            if not self._working.acquire(timeout=self._patience_seconds):
                raise NoPermit
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._admitted.release()

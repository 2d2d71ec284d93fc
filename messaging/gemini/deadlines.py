"""The deadlines of active replies, watched by a single thread of the process.

The SDKs' timeouts are per read: a trickle of one byte a second never reaches a timeout. Only
another thread can wake a thread blocked in a read. So a single thread watches hundreds of
deadlines.
"""

import heapq
import itertools
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from django.conf import settings

from messaging.gemini.base import Cancellation
from messaging.gemini.process import PerProcess

# For a host without any answer. The older SDK cannot be interrupted during a connect.
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a reply in seconds.

    `first_byte` limits the silence before the first chunk, `idle` the silence between two chunks.
    `total` limits the whole reply, with all tries and all waits between tries.
    """

    first_byte: float
    idle: float
    total: float

    @classmethod
    def from_settings(cls) -> "Limits":
        return cls(
            first_byte=settings.GEMINI_FIRST_BYTE_SECONDS,
            idle=settings.GEMINI_IDLE_SECONDS,
            total=settings.GEMINI_TOTAL_SECONDS,
        )


class Deadline:
    """Cancels a slow try; the reason is the name of the limit."""

    def __init__(self, attempt: Cancellation, *, limits: Limits, ends_at: float) -> None:
        self._attempt = attempt
        self._limits = limits
        self._ends_at = ends_at
        self._watcher = _watchers.get("watch", _DeadlineWatcher)
        self._reason = ""
        self.fires_at = math.inf
        self.queued_at = math.inf

    @contextmanager
    def running(self) -> Iterator[None]:
        self._expect("first_byte", self._limits.first_byte)
        try:
            yield
        finally:
            self._watcher.move(self, math.inf)

    def restart(self) -> None:
        """Start the idle limit again: upstream has sent something."""
        self._expect("idle", self._limits.idle)

    def _expect(self, reason: str, seconds: float) -> None:
        fires_at = monotonic() + seconds
        if self._ends_at <= fires_at:
            reason, fires_at = "total", self._ends_at
        self._reason = reason
        self._watcher.move(self, fires_at)

    def fire(self) -> None:
        self._attempt.cancel(self._reason)


class _DeadlineWatcher:
    """A heap of the times for the next check of a deadline.

    A deadline moves with each chunk, nearly always to a later time. So the entry in the heap stays
    until the time of the entry, and is then corrected. Only a move to an earlier time adds an
    entry.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="gemini-clocks", daemon=True).start()

    def move(self, deadline: Deadline, fires_at: float) -> None:
        with self._changed:
            deadline.fires_at = fires_at
            if fires_at < deadline.queued_at:
                self._queue(deadline)
                if self._heap[0][2] is deadline:
                    self._changed.notify()

    def _queue(self, deadline: Deadline) -> None:
        deadline.queued_at = deadline.fires_at
        heapq.heappush(self._heap, (deadline.fires_at, next(self._order), deadline))

    def _run(self) -> None:
        while True:
            self._next_due().fire()

    def _next_due(self) -> Deadline:
        with self._changed:
            while True:
                if not self._heap:
                    self._changed.wait()
                    continue
                at, _, deadline = self._heap[0]
                if at > monotonic():
                    self._changed.wait(at - monotonic())
                    continue
                heapq.heappop(self._heap)
                if at != deadline.queued_at:
                    continue  # replaced by an earlier entry
                deadline.queued_at = math.inf
                if deadline.fires_at <= monotonic():
                    deadline.fires_at = math.inf
                    return deadline
                if deadline.fires_at < math.inf:
                    self._queue(deadline)


_watchers: PerProcess[_DeadlineWatcher] = PerProcess()

"""The time limit of tasks in threads: Celery's own limits need processes.

A task past its limit gets SoftTimeLimitExceeded. A blocking call in C ends first: each call to a
store or vendor has its own deadline.
"""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery.exceptions import SoftTimeLimitExceeded

CHECK_SECONDS = 1.0


class TimeLimits:
    """The deadlines of the tasks in this process, by thread, watched by one thread."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        thread = threading.get_ident()
        with self._lock:
            outer = self._deadlines.get(thread)
            self._deadlines[thread] = time.monotonic() + seconds
            if self._watch is None or not self._watch.is_alive():
                self._watch = threading.Thread(
                    target=self._end_late_tasks, daemon=True, name="time-limits"
                )
                self._watch.start()
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.pop(thread, None)
                # The task has ended, and its limit with it: the next task gets no exception.
                _raise_in(thread, None)
                if outer is not None:
                    self._deadlines[thread] = outer

    def _end_late_tasks(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            with self._lock:
                if not self._deadlines:
                    self._watch = None
                    return
                now = time.monotonic()
                late = [thread for thread, at in self._deadlines.items() if at < now]
                for thread in late:
                    del self._deadlines[thread]
                    _raise_in(thread, SoftTimeLimitExceeded)


def _raise_in(thread: int, exception: type[Exception] | None) -> None:
    """Raise in another thread at its next Python instruction; None takes that back."""
    kind = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)


time_limits = TimeLimits()

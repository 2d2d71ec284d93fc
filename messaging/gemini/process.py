"""Things made once per process. A fork starts with none, so no socket is shared by two."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A cache, by key, of what must be made under a lock and must not survive a fork.

    A Gemini client that a parent had used gave one child's reply to another child's user: both
    read the same socket. The lock is replaced as well: a thread that is not in the child may
    have held it.
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

"""The objects of a process. A fork starts without objects, so no socket is shared."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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

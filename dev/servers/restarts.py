"""New starts of processes that end by themselves."""

import time
from collections.abc import Callable

from dev.servers.stack import Stack

# Before each start in a row; the end after the last of these starts ends the run.
WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0)
# The next end of a process that ran for so long is the first end in a row.
STEADY_SECONDS = 60.0


class Restarts:
    """Starts each ended process of a stack again, after a wait that grows."""

    def __init__(self, stack: Stack, *, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._say = say
        self._ends: dict[str, int] = {}
        self._started_at: dict[str, float] = {}
        self._due_at: dict[str, float] = {}

    def check(self) -> str | None:
        """Start what is due; return a sentence on a process that ended again and again."""
        now = time.monotonic()
        for name, how in self._stack.ended().items():
            if name not in self._due_at:
                self._count_end(name, now)
                if self._ends[name] > len(WAITS_SECONDS):
                    return (
                        f"{name} ended {how}, {self._ends[name]} times in a row;"
                        f" its log is {self._stack.log_of(name)}"
                    )
                wait = WAITS_SECONDS[self._ends[name] - 1]
                self._due_at[name] = now + wait
                self._say(f"{name} ended {how}; it starts again in {wait:.0f} s")
            elif now >= self._due_at[name]:
                del self._due_at[name]
                self._started_at[name] = now
                self._stack.start_again(name)
                self._say(f"{name} starts again")
        return None

    def _count_end(self, name: str, now: float) -> None:
        is_steady = now - self._started_at.get(name, 0.0) > STEADY_SECONDS
        self._ends[name] = 1 if is_steady else self._ends.get(name, 0) + 1

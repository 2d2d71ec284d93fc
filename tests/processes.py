"""The processes of a program under test, as the kernel lists them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def running_processes() -> dict[int, int]:
    """The parent of every running process, by process number."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            parents[int(path.parent.name)] = int(parent)
    return parents


def descendants(pid: int) -> set[int]:
    parents = running_processes()
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process and all that it has started are stopped in the block: they hang, as it were."""
    stopped = [pid]
    os.kill(pid, signal.SIGSTOP)  # First, so that it starts no more of them.
    try:
        for child in descendants(pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)
                stopped.append(child)
        yield
    finally:
        for each in stopped:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))

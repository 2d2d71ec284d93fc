"""The processes of a stack under test: ports, output, and the kernel's list."""

import os
import random
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

TEST_PORTS = (10_000, 32_000)


class Log(list[str]):
    """Collect the output of a stack; pytest prints the output of a test that fails."""

    def __call__(self, name: str, line: str) -> None:
        self.append(line)
        print(f"{name:6} | {line}")


def free_port(successors: int = 0) -> int:
    """Return a free port that `successors` free ports follow.

    The port is below the range that the kernel gives to connections. In that range one of the
    suite's thousands of connections could take the port before its process starts.
    """
    while True:
        port = random.randrange(*TEST_PORTS)
        with suppress(OSError), ExitStack() as listening:
            for number in range(port, port + successors + 1):
                listening.enter_context(socket.create_server(("127.0.0.1", number)))
            return port


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
    """Stop the process and its descendants within the block, as if they hung."""
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


@contextmanager
def short_files(pid: int, most_bytes: int) -> Iterator[None]:
    """Refuse writes of a process beyond a size, as a full disk does.

    The kernel writes the first bytes, and then answers EFBIG in place of ENOSPC.
    """
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))

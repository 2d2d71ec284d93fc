"""Child processes with an end at the parent's end, and the lock of a folder."""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # prctl(2)

# Loaded before any fork: loading a library between fork and exec can deadlock.
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartError(Exception):
    """A server or process cannot start; the text is a sentence for the terminal."""


def spawn(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdout: int | IO[bytes],
    when_orphaned: signal.Signals,
    keep_open: Sequence[int] = (),
    switch_user: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a new session, out of reach of the terminal's Ctrl-C.

    On Linux the child gets the signal `when_orphaned` if this process ends without stopping the
    child. `switch_user` runs first, as a change of user clears the parent-death signal. The signal
    follows the calling thread's end, so call the function from the main thread.
    """
    parent = os.getpid()

    def prepare() -> None:
        if switch_user is not None:
            switch_user()
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, int(when_orphaned), 0, 0, 0)
            if os.getppid() != parent:  # The parent ended before prctl.
                os._exit(1)

    return subprocess.Popen(
        args,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        pass_fds=keep_open,
        start_new_session=True,
        preexec_fn=prepare,
    )


def stop(process: subprocess.Popen[bytes], how: signal.Signals, *, within_seconds: float) -> None:
    """Ask a process to end; kill the process after `within_seconds`."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lock_folder(folder: Path, *, wait_seconds: float = 0) -> int | None:
    """Take the folder's lock and return the file descriptor, or None for a taken lock.

    Children with the descriptor open hold the lock too. So the folder of a killed owner is free
    after the end of the owner's last child.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(0.05)
        else:
            return descriptor

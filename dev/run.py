"""`make run`: run the whole program in a terminal until Ctrl-C."""

import argparse
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from django.core.exceptions import ImproperlyConfigured

from dev.banner import startup_banner
from dev.environment import BASE_DIR
from dev.servers.processes import LIBC, PR_SET_PDEATHSIG, StartError
from dev.servers.restarts import Restarts
from dev.servers.stack import Stack

COLOURS = {"setup": "35", "web": "36", "worker": "32", "beat": "33"}
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_printing = threading.Lock()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--var", type=Path, default=BASE_DIR / "var", help="where data is kept")
    options = parser.parse_args()
    _end_with_make()
    try:
        stack = _make_stack(options.var)
        sys.exit(_run(stack))
    except (StartError, ImproperlyConfigured) as error:
        sys.exit(f"error: {error}")


def _make_stack(var: Path) -> Stack:
    from gemchat.env import env  # Reads .env at the import, and may fail.

    port = env.int("PORT", default=8000)
    host = env.str("HOST", default="127.0.0.1")
    return Stack(var=var, environ=os.environ, host=host, port=port, output=_print_line)


def _run(stack: Stack) -> int:
    """Run until a signal (status 0) or until a process ends again and again (1)."""
    _interrupt_at_next_signal(stack)
    started = time.monotonic()
    try:
        with stack:
            _print(startup_banner(stack, started_in_seconds=time.monotonic() - started))
            reason = _watch(stack)
            _hurry_at_next_signal(stack)
            if reason:
                _print(f"error: {reason}; ending the others")
                return 1
            _print("Ending; replies in progress have 30 s, or none after another Ctrl-C")
    except KeyboardInterrupt:  # Before everything was up.
        _print("Ended")
    return 0


def _watch(stack: Stack) -> str | None:
    """Wait for a signal (None), or for a process that ends repeatedly (a sentence)."""
    has_terminal = sys.stdout.isatty()
    restarts = Restarts(stack, say=_print)
    try:
        while (reason := restarts.check()) is None:
            if has_terminal and not sys.stdout.isatty():
                # The terminal closed. Where make leads the session, only make gets the signal.
                return None
            time.sleep(0.2)
    except KeyboardInterrupt:
        return None
    return reason


def _interrupt_at_next_signal(stack: Stack) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        _hurry_at_next_signal(stack)
        raise KeyboardInterrupt

    for number in ENDING_SIGNALS:
        signal.signal(number, interrupt)


def _hurry_at_next_signal(stack: Stack) -> None:
    for number in ENDING_SIGNALS:
        signal.signal(number, lambda *_: stack.hurry())


def _print_line(name: str, line: str) -> None:
    prefix = f"{name:<6} |"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        prefix = f"\033[{COLOURS[name]}m{prefix}\033[0m"
    _print(f"{prefix} {line}")


def _print(text: str) -> None:
    with _printing, suppress(OSError):  # The reader has gone; the program stays.
        print(text, flush=True)


def _end_with_make() -> None:
    """End this process with a killed `make run`, on Linux."""
    if LIBC is not None and "MAKELEVEL" in os.environ:
        LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


if __name__ == "__main__":
    main()

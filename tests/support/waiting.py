"""Wait for a condition, and run calls at the same moment."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return the first true result of the condition."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"the condition stayed false for {seconds} s"
        time.sleep(0.02)
    return result


def in_background(call: Callable[[], Any]) -> Future[Any]:
    """Start the call in another thread with its own connection; return the call's future."""

    def run() -> Any:
        try:
            return call()
        finally:
            # Before the test continues: its end may empty the tables.
            connection.close()

    executor = ThreadPoolExecutor(1)
    future = executor.submit(run)
    executor.shutdown(wait=False)
    return future


def at_once(count: int, call: Callable[[], Any]) -> list[Any]:
    """Make the call in `count` threads at the same moment; return the results."""
    barrier = threading.Barrier(count)

    def run() -> Any:
        barrier.wait()
        return call()

    return [future.result(60) for future in [in_background(run) for _ in range(count)]]


def wait_until_blocked(count: int = 1) -> None:
    """Wait until `count` connections wait for a row or a lock of another connection."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def blocked() -> bool:
        with connection.cursor() as cursor:
            # Within a transaction PostgreSQL would repeat its first snapshot.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            return cursor.fetchone()[0] >= count

    eventually(blocked, seconds=20)

"""Waits for what comes about by itself, and does things at the same moment."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection


def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What the condition answers as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not come about in {seconds} s"
        time.sleep(0.02)
    return found


def in_background(call: Callable[[], Any]) -> Future[Any]:
    """What a call gives that another thread, with a connection of its own, has begun."""

    def run() -> Any:
        try:
            return call()
        finally:
            # Before the test goes on, which may end with the tables being emptied.
            connection.close()

    executor = ThreadPoolExecutor(1)
    future = executor.submit(run)
    executor.shutdown(wait=False)
    return future


def at_once(count: int, call: Callable[[], Any]) -> list[Any]:
    """What `count` threads get that make the call at the same moment."""
    barrier = threading.Barrier(count)

    def run() -> Any:
        barrier.wait()
        return call()

    return [future.result(60) for future in [in_background(run) for _ in range(count)]]


def wait_until_blocked(count: int = 1) -> None:
    """Until so many connections wait for a row or a lock that another one holds."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def blocked() -> bool:
        with connection.cursor() as cursor:
            # Within a transaction the first look would stand for all.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            return cursor.fetchone()[0] >= count

    eventually(blocked, seconds=20)

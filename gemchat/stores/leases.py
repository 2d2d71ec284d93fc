"""Leases of rows, renewed while a process works on a row."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.db import connection

from gemchat.stores.errors import DATABASE_ERRORS


@contextmanager
def renewed_lease(renew: Callable[[], object], *, every_seconds: float) -> Iterator[None]:
    """Renew a lease within the block, in a thread."""
    has_ended = threading.Event()

    def renew_until_end() -> None:
        try:
            while not has_ended.wait(every_seconds):
                with suppress(*DATABASE_ERRORS):
                    renew()
        finally:
            connection.close()

    renewal = threading.Thread(target=renew_until_end, name="lease", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        has_ended.set()
        renewal.join()

"""Advisory locks of PostgreSQL, held for the caller's transaction or for a block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from django.db import connection

from gemchat.stores.postgres import separate_connection

# Named by `%(name)s`, for a statement with a read of the guarded rows.
TRY_LOCK_SQL = "pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0))"
LOCK_SQL = """
SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s::text[]) AS name
"""


class Lock(StrEnum):
    """The kind of a lock. The value is a part of the lock's key."""

    # Codes, tries and hits of a number, a network or a budget (`accounts.auth`).
    RATE_LIMIT = "limit"
    # One Idempotency-Key of one user (`accounts.api.idempotency`).
    IDEMPOTENCY_KEY = "idempotency"
    # The mirrored rows of one customer of Stripe's (`billing.stripe.sync`).
    STRIPE_CUSTOMER = "stripe"
    # The stored bytes of one user (`files.statements`).
    FILE_SPACE = "files"
    # The migration of a database (`backoffice.management.commands.migrate`).
    MIGRATION = "migration"
    # The rows of findings about models (`messaging.models.model_findings`).
    MODEL_FINDINGS = "findings"


def lock_name(lock: Lock, key: str) -> str:
    return f"{lock} {key}"


def advisory_lock(lock: Lock, *keys: str) -> None:
    """Wait for the locks of these keys, in this order, and hold the locks."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_SQL, [[lock_name(lock, key) for key in keys]])


@contextmanager
def exclusive_block(lock: Lock, *, alias: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock for a block, which may last minutes.

    The lock ends with its separate connection.
    """
    key = [lock_name(lock, alias)]
    with separate_connection(alias) as session:
        row = session.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)
        if row.fetchone() != (True,):
            on_wait()
            session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", key)
        yield

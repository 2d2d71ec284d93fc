"""How long this process waits for PostgreSQL: for a statement, for a lock, for a sign of life."""

import select
from typing import Any, ClassVar

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import TransactionStatus

# Threads of a web process that use the database besides WEB_THREADS: those of native async views,
# and those that look whether it answers and how many replies wait.
LIVE_THREADS, LOOK_THREADS = 8, 2

# What the server is given to break a statement off, before it counts as hanging.
GRACE_SECONDS = 2.0
POOL_SECONDS = 3.0
# A process that stops in the middle of a transaction must not keep others waiting for its locks.
IDLE_IN_TRANSACTION_SECONDS = 60.0


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server which takes a statement and does not answer.

    statement_timeout is kept by the server, so that it is of no use where that is stopped, or is
    not to be reached any more. `wait_seconds` is of this process; None waits for ever.
    """

    wait_seconds: ClassVar[float | None] = None

    def execute(self, query: Any, *args: Any, **options: Any) -> psycopg.Cursor[Any]:
        """As psycopg's, but for the empty statement by which the pool asks whether a connection
        lives. A server that has gone has closed it, and that can be seen without a round trip: as
        long as there is nothing to be read, the last answer holds."""
        if query == "" and not self._has_news():
            return self.cursor()
        return super().execute(query, *args, **options)

    def _has_news(self) -> bool:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.wait_seconds if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                # Its answer may come yet, and would be taken for that of the next statement.
                self.close()
            raise


def bound_for_web() -> None:
    """For a process that serves requests, before it takes its first connection."""
    bound(statement_seconds=settings.WEB_STATEMENT_SECONDS, lock_seconds=settings.WEB_LOCK_SECONDS)
    # There is one for each thread: to wait for it is to wait for a database that is down.
    connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"]["pool"]["timeout"] = POOL_SECONDS


def bound(*, statement_seconds: float, lock_seconds: float) -> None:
    """Hold for every connection that this process opens from now on."""
    options = connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"]
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": lock_seconds,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_SECONDS,
    }
    told = [f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items()]
    # A statement that the planner takes for a long one would be compiled for longer than it runs.
    # And a cached plan (`gemchat.stores.statements`) must not scan a table that was small when the
    # plan was made; nothing here has to scan a table whole.
    planning = ["-c jit=off", "-c enable_seqscan=off"]
    options["options"] = " ".join([options.get("options", ""), *told, *planning]).strip()
    BoundedConnection.wait_seconds = statement_seconds + GRACE_SECONDS

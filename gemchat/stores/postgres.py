"""Limits on this process's waits for PostgreSQL.

Written against psycopg 3.3 and psycopg_pool 3.3, with inner names: docs/upgrading.md.
"""

import select
from typing import Any, ClassVar

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import TransactionStatus

# Threads of a web process with the database besides WEB_THREADS: of native async views, and of
# probes.
ASYNC_VIEW_THREADS, PROBE_THREADS = 8, 2

# The time for the server to cancel a statement, before the server counts as hanging.
GRACE_SECONDS = 2.0
POOL_SECONDS = 3.0
# A process stopped in mid-transaction must not hold its locks for longer.
IDLE_IN_TRANSACTION_SECONDS = 60.0


class LimitedConnection(psycopg.Connection[Any]):
    """A connection with an end of its wait for a silent server.

    The server enforces statement_timeout, but a stopped or unreachable server enforces nothing.
    `wait_seconds` is enforced here; None waits for ever.
    """

    wait_seconds: ClassVar[float | None] = None

    def execute(self, query: Any, *args: Any, **options: Any) -> psycopg.Cursor[Any]:
        """Execute as psycopg does, except the pool's health check, the empty statement.

        An ended server has closed the connection. The socket shows the end without a round trip:
        while the socket has nothing to read, the connection is open.
        """
        if query == "" and not self._socket_is_readable():
            return self.cursor()
        return super().execute(query, *args, **options)

    def _socket_is_readable(self) -> bool:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.wait_seconds if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                # A late answer would be read as the answer to the next statement.
                self.close()
            raise


def limit_database_waits_for_web() -> None:
    """Set the limits of a web process, before its first connection."""
    limit_database_waits(
        statement_seconds=settings.WEB_STATEMENT_SECONDS, lock_seconds=settings.WEB_LOCK_SECONDS
    )
    # The pool has a connection for each thread: a wait means that the database is down.
    connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"]["pool"]["timeout"] = POOL_SECONDS


def limit_database_waits(*, statement_seconds: float, lock_seconds: float) -> None:
    """Set the limits of every new connection of this process from now on."""
    options = connections.settings[DEFAULT_DB_ALIAS]["OPTIONS"]
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": lock_seconds,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_SECONDS,
    }
    timeouts = [f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items()]
    # The compilation of a statement takes longer than the statement. A cached plan
    # (`gemchat.stores.statements`) must not scan a table that was small at the planning; no
    # statement here needs a whole table.
    planning = ["-c jit=off", "-c enable_seqscan=off"]
    options["options"] = " ".join([options.get("options", ""), *timeouts, *planning]).strip()
    LimitedConnection.wait_seconds = statement_seconds + GRACE_SECONDS

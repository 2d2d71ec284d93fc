"""Limits on this process's waits for PostgreSQL.

Written against psycopg 3.3 and psycopg_pool 3.3, with inner names: docs/upgrading.md.
"""

import logging
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from psycopg.pq import TransactionStatus

logger = logging.getLogger(__name__)

# Threads of a web process with the database besides WEB_THREADS: of native async views, and of
# probes.
ASYNC_VIEW_THREADS, PROBE_THREADS = 8, 2

# The time for the server to cancel a statement, before the server counts as hanging.
GRACE_SECONDS = 2.0
POOL_SECONDS = 3.0
# A process stopped in mid-transaction must not hold its locks for longer.
IDLE_IN_TRANSACTION_SECONDS = 60.0
# A pool tries again and again: one line for each cause in this time.
LOG_SECONDS = 60.0


class FailureLog:
    """Logs the causes of failed connections, without the password, each cause once a minute.

    The pool raises "couldn't get a connection after 5.00 sec" in place of the cause.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged_at: dict[str, float] = {}

    def report(self, error: psycopg.Error, *, password: str | None) -> None:
        cause = failure_cause(error, password=password)
        now = time.monotonic()
        with self._lock:
            recent = {c: at for c, at in self._logged_at.items() if now - at < LOG_SECONDS}
            self._logged_at = {cause: now, **recent}
            if cause in recent:
                return
        logger.error("PostgreSQL gives no connection: %s", cause)


def failure_cause(error: Exception, *, password: str | None) -> str:
    """Return an error as one line without the password; a pooler may quote the password."""
    cause = " ".join(str(error).split())
    return cause.replace(password, "[redacted]") if password else cause


failure_log = FailureLog()


class LimitedConnection(psycopg.Connection[Any]):
    """A connection with an end of its wait for a silent server.

    The server enforces statement_timeout, but a stopped or unreachable server enforces nothing.
    `wait_seconds` is enforced here; None waits for ever.
    """

    wait_seconds: ClassVar[float | None] = None

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        try:
            return super().connect(conninfo, **options)
        except psycopg.Error as error:
            failure_log.report(error, password=options.get("password"))
            raise

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
    options["options"] = _startup_options(
        options.get("options", ""), statement_seconds=statement_seconds, lock_seconds=lock_seconds
    )
    LimitedConnection.wait_seconds = statement_seconds + GRACE_SECONDS


def _startup_options(given: str, *, statement_seconds: float, lock_seconds: float) -> str:
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
    return " ".join([given, *timeouts, *planning]).strip()


@contextmanager
def separate_connection(
    alias: str = DEFAULT_DB_ALIAS, *, like_web: bool = False
) -> Iterator[psycopg.Connection[Any]]:
    """Open a connection besides the pool, so that an error has its cause.

    `like_web` adds the options of a web process, which a pooler may refuse.
    """
    params: dict[str, Any] = connections[alias].get_connection_params()
    if like_web:
        params["options"] = _startup_options(
            params.get("options", ""),
            statement_seconds=settings.WEB_STATEMENT_SECONDS,
            lock_seconds=settings.WEB_LOCK_SECONDS,
        )
    try:
        opened = psycopg.connect(**{**params, "autocommit": True})
    except psycopg.Error as error:
        raise OperationalError(failure_cause(error, password=params.get("password"))) from None
    with opened:
        yield opened

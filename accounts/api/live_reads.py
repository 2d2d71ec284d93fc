"""Open live reads of a web process, counted by session and person.

A live read is a stream, a `?wait=`, or a download. A live read ends with the session, except for a
download by a signed address. The registry is in memory: each web process has a count. A single
query finds all ended sessions, so an idle stream costs neither a query nor a connection.
"""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from django.conf import settings
from django.db import Error
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed

from accounts.api.authentication import REFUSAL
from accounts.auth.rate_limits import RateLimited
from accounts.models import Session
from gemchat.api.async_views import in_thread
from gemchat.api.errors import DomainError
from gemchat.monitoring.metrics import LIVE_READS, REFUSED_LIVE_READS

logger = logging.getLogger(__name__)

# Interval of the check of all sessions with live reads.
SESSION_CHECK_SECONDS = 15.0
RETRY_AFTER_SECONDS = 5
# The share of live reads in WEB_CONNECTIONS; the rest is for all other requests.
LIVE_SHARE = 0.75

# Otherwise a refused client would keep an idle connection from other clients.
CLOSE = {"Connection": "close"}


class TooManyLiveReads(RateLimited):
    message = "Too many live reads are open. Close one first."


# Problems of every live read, for the description of the API.
LIVE_PROBLEMS: list[str | type[DomainError]] = [TooManyLiveReads, "overloaded"]


class TooManyClients(DomainError):
    code = "overloaded"
    message = "Too many streams are open here. Try again in a moment."
    status = 503


class SessionEnded(Exception):
    """The session of a download has ended; the connection ends in mid-file."""


class LiveRead:
    """An open live read. `wake` is called at the end of the session."""

    __slots__ = ("has_ended", "session_id", "user_id", "wake")

    def __init__(self, *, session_id: uuid.UUID, user_id: uuid.UUID) -> None:
        self.session_id = session_id
        self.user_id = user_id
        self.has_ended = False
        self.wake: Callable[[], None] | None = None

    def end(self) -> None:
        self.has_ended = True
        if self.wake:
            self.wake()

    def require_session(self) -> None:
        """Raise AuthenticationFailed when the session has ended."""
        if self.has_ended:
            raise AuthenticationFailed(REFUSAL, "invalid_token")


class LiveReads:
    """The registry of a web process. All methods run in the event loop."""

    def __init__(self) -> None:
        self._by_session: dict[uuid.UUID, set[LiveRead]] = {}
        self._count_by_user: Counter[uuid.UUID] = Counter()

    def open(self, session: Session) -> LiveRead:
        """Register a live read of the current task, until the end of the task.

        Raises TooManyLiveReads, and TooManyClients if the process has too many live reads.
        """
        of_session = self._by_session.get(session.pk, ())
        if len(of_session) >= settings.LIVE_READS_PER_SESSION:
            raise _limit_error("session", settings.LIVE_READS_PER_SESSION)
        self.open_without_session(session.user_id)
        read = LiveRead(session_id=session.pk, user_id=session.user_id)
        self._by_session.setdefault(session.pk, set()).add(read)
        _current_task().add_done_callback(lambda _: self._close(read))
        return read

    def open_without_session(self, user_id: uuid.UUID) -> None:
        """Count a live read of the current task, as a download by a signed address.

        Raises TooManyLiveReads and TooManyClients.
        """
        if self._count_by_user.total() >= settings.WEB_CONNECTIONS * LIVE_SHARE:
            REFUSED_LIVE_READS.labels("process").inc()
            raise TooManyClients(retry_after=RETRY_AFTER_SECONDS, headers=CLOSE)
        if self._count_by_user[user_id] >= settings.LIVE_READS_PER_USER:
            raise _limit_error("user", settings.LIVE_READS_PER_USER)
        self._count_by_user[user_id] += 1
        LIVE_READS.inc()
        _current_task().add_done_callback(lambda _: self._uncount(user_id))

    def _close(self, read: LiveRead) -> None:
        of_session = self._by_session[read.session_id]
        of_session.discard(read)
        if not of_session:
            del self._by_session[read.session_id]

    def _uncount(self, user_id: uuid.UUID) -> None:
        LIVE_READS.dec()
        self._count_by_user[user_id] -= 1
        if not self._count_by_user[user_id]:
            del self._count_by_user[user_id]

    async def watch(self) -> None:
        """End the live reads of ended sessions, for as long as the process runs."""
        while True:
            await asyncio.sleep(SESSION_CHECK_SECONDS)
            try:
                await self.end_reads_of_ended_sessions()
            except Error as error:
                logger.warning("Sessions of live reads are not checked: %s", error)
            # The edge of the task: an exception would end the check for good.
            except Exception:
                logger.exception("Sessions of live reads are not checked")

    async def end_reads_of_ended_sessions(self) -> None:
        """Check all sessions in a single query. Raises django.db.Error, and then ends nothing."""
        known = set(self._by_session)
        if not known:
            return
        for session_id in known - await in_thread(active_session_ids, known):
            for read in list(self._by_session.get(session_id, ())):
                read.end()


def live_reads_of(request: HttpRequest) -> LiveReads:
    """Return the registry of the web process.

    Under another server, such as runserver, each request has a registry.
    """
    hub = getattr(request, "scope", {}).get("state", {}).get("hub")
    return hub.reads if hub else LiveReads()


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "a live read is served by a task"  # noqa: S101
    return task


def active_session_ids(session_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return the ids of active sessions of active users."""
    active = Session.objects.active().filter(pk__in=session_ids, user__is_active=True)
    return set(active.values_list("pk", flat=True))


def _limit_error(subject: str, maximum: int) -> TooManyLiveReads:
    REFUSED_LIVE_READS.labels(subject).inc()
    message = f"A {subject} may have {maximum} live reads open at once. Close one first."
    return TooManyLiveReads(message, retry_after=RETRY_AFTER_SECONDS, headers=CLOSE)

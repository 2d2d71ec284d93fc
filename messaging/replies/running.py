"""The running replies of a worker process, and the thread to maintain the replies.

Every 50 ms the thread sends new text of all replies to Redis in a single round trip. The first text
of a reply goes at once. The thread polls for stop requests every quarter of a second, and renews
the leases every few seconds. Threads for Gemini only put text into memory. So hundreds of replies
cost Redis and PostgreSQL little more than a single reply.
"""

import logging
import math
import threading
import time
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import Error, connection
from django.utils import timezone
from redis.exceptions import RedisError

from gemchat.stores.redis import client
from messaging.gemini.base import Cancellation
from messaging.models import Message
from messaging.streaming import buffer
from messaging.streaming.buffer import Position

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.05
STOP_POLL_SECONDS = 0.25
# While Redis is down, stops are read from the rows, at each renewal of the leases.
RENEWAL_SECONDS_WITHOUT_REDIS = 0.5

STOP = "stop"
LEASE_LOST = "lease_lost"
SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class PendingText:
    """Unpublished text of a reply, and the number of deltas up to the end."""

    end: Position
    text: str
    deltas: int


class RunningReply:
    """An attempt at a reply: the text so far, and the published part."""

    def __init__(self, reply_id: uuid.UUID, attempt: int) -> None:
        self.reply_id = reply_id
        self.attempt = attempt
        self.cancellation = Cancellation()
        self._lock = threading.Lock()
        self._deltas: list[str] = []
        self._length = 0
        self._published_deltas = 0

    @property
    def content(self) -> str:
        return "".join(self._deltas)

    @property
    def position(self) -> Position:
        return Position(self.attempt, self._length)

    @property
    def has_pending(self) -> bool:
        return self._published_deltas < len(self._deltas)

    def add(self, text: str) -> bool:
        """Take a delta; True for the first text of the attempt."""
        with self._lock:
            self._deltas.append(text)
            self._length += len(text)
            return len(self._deltas) == 1

    def pending(self, *, whole: bool = False) -> PendingText:
        """Return the unpublished text, or the whole text."""
        with self._lock:
            first = 0 if whole else self._published_deltas
            return PendingText(self.position, "".join(self._deltas[first:]), len(self._deltas))

    def mark_published(self, pending: PendingText) -> None:
        with self._lock:
            # Two threads may have published at the same time; the later text counts.
            self._published_deltas = max(self._published_deltas, pending.deltas)


class RunningReplies:
    """The registry of a process; the thread lives only while a reply runs."""

    def __init__(self) -> None:
        self._replies: set[RunningReply] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._has_first_text = threading.Event()

    def start(self, reply_id: uuid.UUID, attempt: int) -> RunningReply:
        running = RunningReply(reply_id, attempt)
        with self._lock:
            self._replies.add(running)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._maintain, daemon=True)
                self._thread.start()
        if attempt > 1:
            # The text of the earlier attempt is void.
            self._publish_start(running)
        return running

    def finish(self, running: RunningReply) -> None:
        """Publish the last text of a reply, and maintain the reply no longer."""
        with self._lock:
            self._replies.discard(running)
        if running.has_pending:
            self.publish([running])

    def flush_now(self) -> None:
        """Publish the first text of a reply without delay."""
        self._has_first_text.set()

    def cancel_all(self, reason: str) -> None:
        for running in self._current():
            running.cancellation.cancel(reason)

    def publish(self, replies: list[RunningReply]) -> bool:
        """Publish the new text of replies; False while Redis is down, and the text waits.

        A second copy of a text, from another thread or after a timeout, does no harm. The id of an
        entry is the end of the text, so Redis refuses the entry or readers skip the overlap.
        """
        sent = [(running, running.pending()) for running in replies]
        try:
            lost = self._append(sent)
            self._append([(running, running.pending(whole=True)) for running in lost])
        except RedisError as error:
            logger.warning("Live text is not going out; Redis is down: %s", error)
            return False
        for running, pending in sent:
            running.mark_published(pending)
        return True

    @staticmethod
    def _append(entries: list[tuple[RunningReply, PendingText]]) -> list[RunningReply]:
        """Append entries; returns the replies with a lost buffer in Redis."""
        if not entries:
            return []
        pipe = client().pipeline(transaction=False)
        for running, pending in entries:
            buffer.append(pipe, running.reply_id, pending.end, pending.text)
        # Each entry is three commands; the first command returns None if the entry was not added.
        added = pipe.execute(raise_on_error=False)[::3]
        return [
            running for (running, _), answer in zip(entries, added, strict=True) if answer is None
        ]

    @staticmethod
    def _publish_start(running: RunningReply) -> None:
        pipe = client().pipeline(transaction=False)
        buffer.begin(pipe, running.reply_id, running.attempt)
        try:
            pipe.execute(raise_on_error=False)
        except RedisError as error:
            logger.warning("Live text is not going out; Redis is down: %s", error)

    def _current(self) -> list[RunningReply]:
        with self._lock:
            return list(self._replies)

    def _maintain(self) -> None:
        polled_at = renewed_at = -math.inf
        has_redis = True
        while True:
            with self._lock:
                if not self._replies:
                    self._thread = None
                    return
                replies = list(self._replies)
            now = time.monotonic()
            self._has_first_text.clear()
            if pending := [running for running in replies if running.has_pending]:
                has_redis = self.publish(pending)
            if now - polled_at >= STOP_POLL_SECONDS and (has_redis or not pending):
                polled_at = now
                has_redis = self._poll_stop_requests(replies)
            interval = settings.REPLY_LEASE_SECONDS / 5
            if not has_redis:
                interval = min(interval, RENEWAL_SECONDS_WITHOUT_REDIS)
            if now - renewed_at >= interval:
                renewed_at = now
                self._renew_leases(replies)
            self._has_first_text.wait(FLUSH_SECONDS)

    @staticmethod
    def _poll_stop_requests(replies: list[RunningReply]) -> bool:
        """Cancel replies with a stop mark in Redis; False while Redis is down."""
        try:
            marks = client().mget([buffer.stop_key(running.reply_id) for running in replies])
        except RedisError:
            return False
        for running, mark in zip(replies, marks, strict=True):
            if mark:
                running.cancellation.cancel(STOP)
        return True

    @staticmethod
    def _renew_leases(replies: list[RunningReply]) -> None:
        """Renew leases. Also find stops lost by Redis, and replies of another attempt."""
        attempts = [(running.reply_id, running.attempt) for running in replies]
        try:
            held = Message.objects.renew_leases(attempts=attempts, now=timezone.now())
        except Error as error:
            # The lease outlives several renewals. If all renewals fail, another worker claims the
            # reply, and the attempt number prevents writes of the old attempt.
            logger.warning("Leases could not be renewed: %s", error)
            return
        finally:
            connection.close()
        for running, attempt in zip(replies, attempts, strict=True):
            if attempt not in held:
                running.cancellation.cancel(LEASE_LOST)
            elif held[attempt]:
                running.cancellation.cancel(STOP)


running_replies = RunningReplies()

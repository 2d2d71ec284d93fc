"""Tells the readers of one web process what there is new of a reply.

All streams of a process share one subscription to Redis, so that two thousand idle ones cost two
thousand small objects and not as many connections.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from gemchat.redis import async_client
from messaging.buffer import LOOK, stream_key
from messaging.metrics import OPEN_STREAMS

logger = logging.getLogger(__name__)

# Keeps the subscription open while nobody reads.
IDLE_CHANNEL = "reply-hub"
RECONNECT_SECONDS = 0.5
# Entries that a reader is kept; one whose client takes them more slowly looks at the buffer then.
MOST_UNREAD = 64


class Reader:
    """One who reads a reply: what was published of it since the last look."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        # There may be more in the buffer than was published here.
        self.is_behind = True
        self._published: list[str] = []

    def tell(self, published: str) -> None:
        if published == LOOK or len(self._published) == MOST_UNREAD:
            self.is_behind = True
        if not self.is_behind:
            self._published.append(published)
        self.woken.set()

    def take(self) -> list[str]:
        """What was published since; in order, and without a gap unless the reader is behind."""
        taken, self._published = self._published, []
        return taken


class Hub:
    """Lives in one event loop, from the server's start to its shutdown."""

    def __init__(self) -> None:
        self.redis = async_client()
        self.closing = asyncio.Event()
        self._readers: dict[str, set[Reader]] = defaultdict(set)
        self._subscription = self.redis.pubsub(ignore_subscribe_messages=True)
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(self._listen())

    def end_streams(self) -> None:
        """Tell every reader to finish; clients go on where they were, at another process."""
        self.closing.set()
        self._tell_all()

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
        await self._subscription.aclose()
        await self.redis.aclose()

    @asynccontextmanager
    async def listening(self, reply_id: uuid.UUID) -> AsyncIterator[Reader]:
        """A reader that is told what is new of the reply, until the block is left."""
        channel = stream_key(reply_id)
        reader = Reader()
        readers = self._readers[channel]
        readers.add(reader)
        OPEN_STREAMS.inc()
        try:
            if len(readers) == 1:
                await self._subscribe(channel)
            yield reader
        finally:
            OPEN_STREAMS.dec()
            readers.discard(reader)
            if not readers and self._readers.get(channel) is readers:
                del self._readers[channel]
                await self._unsubscribe(channel)

    async def _subscribe(self, channel: str) -> None:
        try:
            await self._subscription.subscribe(channel)
        except RedisError:
            # `_listen` subscribes to every channel again when Redis is back.
            logger.warning("Redis is down; a stream waits for it")

    async def _unsubscribe(self, channel: str) -> None:
        try:
            await self._subscription.unsubscribe(channel)
        except RedisError:
            logger.debug("Redis is down, and with it the subscription")

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscription.subscribe(IDLE_CHANNEL, *self._readers)
                # What came while there was no subscription is in the buffers.
                self._tell_all()
                while True:
                    message = await self._subscription.get_message(timeout=None)
                    if message:
                        self._tell(message["channel"], message["data"])
            except (RedisError, OSError) as error:
                logger.warning("The hub lost Redis: %s", error)
                await self._subscription.aclose()
                self._subscription = self.redis.pubsub(ignore_subscribe_messages=True)
                await asyncio.sleep(RECONNECT_SECONDS)

    def _tell(self, channel: str, published: str) -> None:
        for reader in self._readers.get(channel, ()):
            reader.tell(published)

    def _tell_all(self) -> None:
        for channel in list(self._readers):
            self._tell(channel, LOOK)

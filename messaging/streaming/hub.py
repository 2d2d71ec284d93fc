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
from typing import Any

from prometheus_client import Gauge
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gemchat.stores.redis import async_client
from messaging.streaming.buffer import LOOK, stream_key
from messaging.streaming.live_reads import LiveReads

logger = logging.getLogger(__name__)

# Keeps the subscription open while nobody reads.
IDLE_CHANNEL = "reply-hub"
RECONNECT_SECONDS = 0.5
# Entries that a reader is kept; one whose client takes them more slowly looks at the buffer then.
MOST_UNREAD = 64

OPEN_STREAMS = Gauge(
    "gemchat_open_streams", "Reads of replies that wait for more, in this process."
)


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

    def wake(self) -> None:
        self.woken.set()

    def take(self) -> list[str]:
        """What was published since; in order, and without a gap unless the reader is behind."""
        taken, self._published = self._published, []
        return taken


class Hub:
    """Lives in one event loop, from the server's start to its shutdown."""

    def __init__(self) -> None:
        self.redis = async_client()
        self.reads = LiveReads()
        self.closing = asyncio.Event()
        self._readers: dict[str, set[Reader]] = defaultdict(set)
        # It does not connect again by itself, so that `_listen` alone opens connections.
        self._subscriber = async_client(retry=Retry(NoBackoff(), 0, supported_errors=()))
        self._subscription = self._subscriber.pubsub()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        self._tasks = [asyncio.create_task(run()) for run in (self._listen, self.reads.watch)]

    def end_streams(self) -> None:
        """Tell every reader to finish; clients go on where they were, at another process."""
        self.closing.set()
        for channel in list(self._readers):
            self._tell(channel, LOOK)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._subscription.aclose()
        await self._subscriber.aclose()
        await self.redis.aclose()

    @asynccontextmanager
    async def listening(self, reply_id: uuid.UUID) -> AsyncIterator[Reader]:
        """A reader that is told what is new of the reply, until the block is left.

        It is told to look as soon as nothing new can be missed.
        """
        channel = stream_key(reply_id)
        reader = Reader()
        readers = self._readers[channel]
        readers.add(reader)
        OPEN_STREAMS.inc()
        try:
            if len(readers) == 1:
                await self._ask("SUBSCRIBE", channel)
            else:
                reader.tell(LOOK)
            yield reader
        finally:
            OPEN_STREAMS.dec()
            readers.discard(reader)
            if not readers and self._readers.get(channel) is readers:
                del self._readers[channel]
                await self._ask("UNSUBSCRIBE", channel)

    async def _ask(self, *command: str) -> None:
        try:
            await self._send(*command)
        except RedisError:
            # `_listen` hears of it too, and subscribes to all channels again.
            logger.warning("Redis is down; streams wait for it")

    async def _send(self, *command: str) -> None:
        """On the open connection only: PubSub's own methods would open a second one where `_listen`
        is just opening the first, and one of the two would never be read."""
        connection = self._subscription.connection
        if connection and connection.is_connected and self._subscription.subscribed:
            await connection.send_command(*command, check_health=False)

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscription.subscribe(IDLE_CHANNEL)
                while True:
                    await self._hear(await self._subscription.get_message(timeout=None))
            except (RedisError, OSError) as error:
                logger.warning("The hub lost Redis: %s", error)
                await self._subscription.aclose()
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        channel = message["channel"]
        if message["type"] == "message":
            self._tell(channel, message["data"])
        elif message["type"] == "subscribe":
            if channel != IDLE_CHANNEL:
                # What came before is in the buffer, and all that comes now will be heard.
                self._tell(channel, LOOK)
            elif self._readers:
                # The connection is a new one.
                await self._send("SUBSCRIBE", *self._readers)

    def _tell(self, channel: str, published: str) -> None:
        for reader in self._readers.get(channel, ()):
            reader.tell(published)

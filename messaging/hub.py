"""Wakes the readers of one web process when a reply has news.

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
from messaging.buffer import stream_key
from messaging.metrics import OPEN_STREAMS

logger = logging.getLogger(__name__)

# Keeps the subscription open while nobody reads.
IDLE_CHANNEL = "reply-hub"
RECONNECT_SECONDS = 0.5


class Hub:
    """Lives in one event loop, from the server's start to its shutdown."""

    def __init__(self) -> None:
        self.redis = async_client()
        self.closing = asyncio.Event()
        self._readers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._subscription = self.redis.pubsub(ignore_subscribe_messages=True)
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(self._listen())

    def end_streams(self) -> None:
        """Tell every reader to finish; clients go on where they were, at another process."""
        self.closing.set()
        self._wake_all()

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
        await self._subscription.aclose()
        await self.redis.aclose()

    @asynccontextmanager
    async def listening(self, reply_id: uuid.UUID) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever the reply has news, until the block is left."""
        channel = stream_key(reply_id)
        woken = asyncio.Event()
        readers = self._readers[channel]
        readers.add(woken)
        OPEN_STREAMS.inc()
        try:
            if len(readers) == 1:
                await self._subscribe(channel)
            yield woken
        finally:
            OPEN_STREAMS.dec()
            readers.discard(woken)
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
                self._wake_all()
                while True:
                    message = await self._subscription.get_message(timeout=None)
                    if message:
                        self._wake(message["channel"])
            except (RedisError, OSError) as error:
                logger.warning("The hub lost Redis: %s", error)
                await self._subscription.aclose()
                self._subscription = self.redis.pubsub(ignore_subscribe_messages=True)
                await asyncio.sleep(RECONNECT_SECONDS)

    def _wake(self, channel: str) -> None:
        for woken in self._readers.get(channel, ()):
            woken.set()

    def _wake_all(self) -> None:
        for channel in list(self._readers):
            self._wake(channel)

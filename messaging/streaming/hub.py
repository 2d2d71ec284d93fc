"""Pass published entries to the streams of a web process.

All streams of a process share a single connection to Redis. So two thousand idle streams cost two
thousand small objects, and not as many connections.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from django.http import HttpRequest
from prometheus_client import Gauge
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from accounts.api.live_reads import LiveReads
from gemchat.stores.redis import async_client
from messaging.streaming.buffer import CHECK_BUFFER, CHECK_ROW, stream_key

logger = logging.getLogger(__name__)

# Holds the subscription open while there is no stream.
IDLE_CHANNEL = "reply-hub"
RECONNECT_SECONDS = 0.5
# Entries in memory for a subscriber; with a slow client the subscriber reads the buffer instead.
MAX_UNREAD = 64

OPEN_STREAMS = Gauge(
    "gemchat_open_streams", "Reads of replies that wait for more, in this process."
)


class Subscriber:
    """A stream of a reply: the entries published since the last `drain`."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        # The buffer may have more than was published here.
        self.needs_buffer = True
        self.needs_row = False
        self._published: list[str] = []

    def notify(self, published: str) -> None:
        if published == CHECK_BUFFER or len(self._published) == MAX_UNREAD:
            self.needs_buffer = True
        if published == CHECK_ROW:
            self.needs_row = True
        elif not self.needs_buffer:
            self._published.append(published)
        self.woken.set()

    def wake(self) -> None:
        self.woken.set()

    def drain(self) -> list[str]:
        """Return entries in order; without a gap unless `needs_buffer`."""
        taken, self._published = self._published, []
        return taken


def get_hub(request: HttpRequest) -> "StreamHub":
    """Return the hub of the web process.

    Under another server, such as runserver, each request has a hub.
    """
    state = getattr(request, "scope", {}).get("state", {})
    return state.get("hub") or StreamHub()


class StreamHub:
    """Lives in a single event loop, from the start of the server to the shutdown."""

    def __init__(self) -> None:
        self.redis = async_client()
        self.reads = LiveReads()
        self.closing = asyncio.Event()
        self._subscribers: dict[str, set[Subscriber]] = defaultdict(set)
        # Without retries: `_listen` alone opens connections.
        self._pubsub_client = async_client(retry=Retry(NoBackoff(), 0, supported_errors=()))
        self._subscription = self._pubsub_client.pubsub()
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        self._tasks = [asyncio.create_task(run()) for run in (self._listen, self.reads.watch)]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the hub for the block, unless the hub is open."""
        if self._tasks:
            yield
            return
        self.open()
        try:
            yield
        finally:
            await self.close()

    def end_streams(self) -> None:
        """End all streams; clients resume at another process."""
        self.closing.set()
        for channel in list(self._subscribers):
            self._notify(channel, CHECK_BUFFER)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._subscription.aclose()
        await self._pubsub_client.aclose()
        await self.redis.aclose()

    @asynccontextmanager
    async def subscribe(self, reply_id: uuid.UUID) -> AsyncIterator[Subscriber]:
        """Subscribe to a reply within the block.

        The subscriber gets CHECK_BUFFER as soon as the subscriber can miss no new entry.
        """
        channel = stream_key(reply_id)
        subscriber = Subscriber()
        subscribers = self._subscribers[channel]
        subscribers.add(subscriber)
        OPEN_STREAMS.inc()
        try:
            if len(subscribers) == 1:
                await self._send_command("SUBSCRIBE", channel)
            else:
                subscriber.notify(CHECK_BUFFER)
            yield subscriber
        finally:
            OPEN_STREAMS.dec()
            subscribers.discard(subscriber)
            if not subscribers and self._subscribers.get(channel) is subscribers:
                del self._subscribers[channel]
                await self._send_command("UNSUBSCRIBE", channel)

    async def _send_command(self, *command: str) -> None:
        try:
            await self._send_if_connected(*command)
        except RedisError:
            # `_listen` gets the error too, and subscribes to all channels again.
            logger.warning("Redis is down; streams wait for it")

    async def _send_if_connected(self, *command: str) -> None:
        """Send on the open connection only.

        PubSub's methods would open a second connection while `_listen` opens the first. One of the
        two connections would never be read.
        """
        connection = self._subscription.connection
        if connection and connection.is_connected and self._subscription.subscribed:
            await connection.send_command(*command, check_health=False)

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscription.subscribe(IDLE_CHANNEL)
                while True:
                    await self._on_message(await self._subscription.get_message(timeout=None))
            except (RedisError, OSError) as error:
                logger.warning("The hub lost Redis: %s", error)
                await self._subscription.aclose()
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _on_message(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        channel = message["channel"]
        if message["type"] == "message":
            self._notify(channel, message["data"])
        elif message["type"] == "subscribe":
            if channel != IDLE_CHANNEL:
                # Earlier entries are in the buffer, and later ones will arrive.
                self._notify(channel, CHECK_BUFFER)
            elif self._subscribers:
                # The connection is new.
                await self._send_if_connected("SUBSCRIBE", *self._subscribers)

    def _notify(self, channel: str, published: str) -> None:
        for subscriber in self._subscribers.get(channel, ()):
            subscriber.notify(published)

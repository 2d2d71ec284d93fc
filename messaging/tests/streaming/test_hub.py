"""Published entries reach every subscriber in order, each once."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from accounts.models import User
from billing.tests.plans import with_plan
from gemchat.stores.redis import client
from messaging.api.stream import render
from messaging.models import Message
from messaging.streaming import buffer
from messaging.streaming.buffer import Position, stream_key
from messaging.streaming.events import PING_SECONDS, events
from messaging.streaming.hub import MAX_UNREAD, StreamHub
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import post

pytestmark = transactional

Reading = Callable[[StreamHub, AsyncGenerator[bytes]], Awaitable[None]]


def append(reply_id: uuid.UUID, attempt: int, offset: int, text: str) -> None:
    pipe = client().pipeline(transaction=False)
    buffer.append(pipe, reply_id, Position(attempt, offset), text)
    pipe.execute(raise_on_error=False)


def following(reply: Message, hub: StreamHub) -> AsyncGenerator[bytes]:
    return events(reply, Position(0, 0), hub=hub, render=render)


def read(reply: Message, reading: Reading) -> None:
    async def run() -> None:
        hub = StreamHub()
        hub.open()
        try:
            async with aclosing(following(reply, hub)) as stream:
                await asyncio.wait_for(reading(hub, stream), PING_SECONDS - 1)
        finally:
            await hub.close()

    asyncio.run(run())


async def text_of_next(stream: AsyncGenerator[bytes]) -> str:
    head, data = (await anext(stream)).decode().strip().rsplit("\ndata: ", 1)
    assert "event: reply.delta" in head
    return str(json.loads(data)["text"])


def drop_subscription(hub: StreamHub) -> None:
    host, port = hub._subscription.connection._writer.get_extra_info("sockname")
    assert client().client_kill_filter(addr=f"{host}:{port}") == 1


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_subscriber_with_a_slow_client_misses_nothing(alice: User) -> None:
    reply = post(make_room(alice))
    append(reply.pk, 1, 1, "0")
    rest = [str(number % 10) for number in range(1, 2 * MAX_UNREAD)]

    async def reading(hub: StreamHub, stream: AsyncGenerator[bytes]) -> None:
        text = await text_of_next(stream)
        [subscriber] = hub._subscribers[stream_key(reply.pk)]
        for offset, piece in enumerate(rest, start=2):
            append(reply.pk, 1, offset, piece)
        await until(lambda: subscriber.needs_buffer)
        while len(text) < 2 * MAX_UNREAD:
            text += await text_of_next(stream)
        assert text == "0" + "".join(rest)

    read(reply, reading)


def test_entry_that_redis_refused_is_not_sent(alice: User) -> None:
    """An overtaken attempt publishes until it learns that it is overtaken."""
    reply = post(make_room(alice))
    append(reply.pk, 2, 3, "new")

    async def reading(hub: StreamHub, stream: AsyncGenerator[bytes]) -> None:
        assert await text_of_next(stream) == "new"
        append(reply.pk, 1, 9, "overtaken")
        append(reply.pk, 2, 6, "est")
        assert await text_of_next(stream) == "est"

    read(reply, reading)


def test_entry_after_a_missed_one_is_read_from_the_buffer(alice: User) -> None:
    reply = post(make_room(alice))
    append(reply.pk, 1, 3, "one")

    async def reading(hub: StreamHub, stream: AsyncGenerator[bytes]) -> None:
        assert await text_of_next(stream) == "one"
        client().xadd(stream_key(reply.pk), {"text": " two"}, id="1-7")
        append(reply.pk, 1, 13, " three")
        assert await text_of_next(stream) + await text_of_next(stream) == " two three"

    read(reply, reading)


def test_published_text_is_not_read_from_the_buffer(alice: User) -> None:
    reply = post(make_room(alice))
    append(reply.pk, 1, 3, "one")

    async def reading(hub: StreamHub, stream: AsyncGenerator[bytes]) -> None:
        assert await text_of_next(stream) == "one"
        client().publish(stream_key(reply.pk), "1-7  two")
        assert await text_of_next(stream) == " two"

    read(reply, reading)


def test_subscriber_during_the_connect_gets_the_text(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", sends_per_minute=20)
    for _ in range(20):
        reply = post(make_room(alice))

        async def reading(
            hub: StreamHub, stream: AsyncGenerator[bytes], reply: Message = reply
        ) -> None:
            ahead = asyncio.create_task(text_of_next(stream))
            await until(lambda: hub._subscription.subscribed)
            append(reply.pk, 1, 3, "one")
            assert await ahead == "one"
            append(reply.pk, 1, 7, " two")
            assert await text_of_next(stream) == " two"

        read(reply, reading)
        Message.objects.stop_queued(reply=reply)


def test_subscribers_get_text_after_a_lost_connection(alice: User) -> None:
    first, second = (post(make_room(alice)) for _ in range(2))
    append(first.pk, 1, 3, "one")
    append(second.pk, 1, 3, "one")

    async def reading(hub: StreamHub, stream: AsyncGenerator[bytes]) -> None:
        async with aclosing(following(second, hub)) as other:
            assert await text_of_next(stream) + await text_of_next(other) == "oneone"
            drop_subscription(hub)
            for reply in (first, second):
                append(reply.pk, 1, 7, " two")
            assert await text_of_next(stream) + await text_of_next(other) == " two two"
            client().publish(stream_key(second.pk), "1-9 ly")
            assert await text_of_next(other) == "ly"

    read(first, reading)


def test_subscriber_during_a_reconnect_gets_the_text(alice: User) -> None:
    first, second = (post(make_room(alice)) for _ in range(2))
    append(first.pk, 1, 3, "one")

    async def reading(hub: StreamHub, stream: AsyncGenerator[bytes]) -> None:
        assert await text_of_next(stream) == "one"
        drop_subscription(hub)
        await until(lambda: not hub._subscription.subscribed)
        async with aclosing(following(second, hub)) as other:
            ahead = asyncio.create_task(text_of_next(other))
            await until(lambda: hub._subscription.subscribed)
            append(second.pk, 1, 3, "two")
            assert await ahead == "two"

    read(first, reading)


def test_second_subscriber_of_a_reply_gets_the_text_at_once(alice: User) -> None:
    reply = post(make_room(alice))
    append(reply.pk, 1, 3, "one")

    async def reading(hub: StreamHub, stream: AsyncGenerator[bytes]) -> None:
        assert await text_of_next(stream) == "one"
        async with aclosing(following(reply, hub)) as other:
            assert await text_of_next(other) == "one"

    read(reply, reading)

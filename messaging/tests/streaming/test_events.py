"""How long a stream stays open."""

import asyncio
from typing import Any

from accounts.models import User
from messaging.api.stream import render
from messaging.conversation import actions
from messaging.models import Message
from messaging.streaming import events
from messaging.streaming.buffer import Position
from messaging.streaming.hub import StreamHub
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room

pytestmark = transactional


def read_until_closed(reply: Message) -> list[bytes]:
    async def read() -> list[bytes]:
        hub = StreamHub()
        hub.open()
        try:
            stream = events.events(reply, Position(0, 0), hub=hub, render=render)
            return [part async for part in stream]
        finally:
            await hub.close()

    return asyncio.run(asyncio.wait_for(read(), 10))


def test_silent_stream_is_pinged_and_closed_for_the_client_to_resume(
    alice: User, monkeypatch: Any
) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.02)
    monkeypatch.setattr(events, "LONGEST_STREAM_SECONDS", 1.0)
    room = make_room(alice)
    reply = actions.post_message(user=alice, chatroom_id=room.pk, prompt="Hello").reply

    parts = read_until_closed(reply)

    assert parts == [b": ping\n\n"] * len(parts)
    assert len(parts) >= 3


def test_end_that_redis_never_got_is_found_in_the_row(alice: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.1)
    room = make_room(alice)
    reply = actions.post_message(user=alice, chatroom_id=room.pk, prompt="Hello").reply
    assert Message.objects.stop_queued(reply=reply)

    parts = read_until_closed(reply)

    assert parts[-1].startswith(b"id: 1-1\nevent: reply.stopped\n")

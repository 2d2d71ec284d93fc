"""A reply that waits shows why and until when; a long wait ends it."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import DailyQuota
from gemchat.stores.redis import client
from messaging.api.stream import render
from messaging.models import Message
from messaging.streaming import events
from messaging.streaming.buffer import Position, publish_wait, stream_key
from messaging.streaming.hub import StreamHub
from messaging.tasks import generate_reply
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import in_thread, post, run
from tests.support.waiting import eventually

pytestmark = transactional

OVERLOADED = Answer(
    status=503,
    raw_body='{"error": {"code": 503, "status": "UNAVAILABLE"}}',
    headers={"Retry-After": "3600"},
)


def used_today(user: User) -> int:
    return DailyQuota.objects.usage(user=user).used


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (Answer.rate_limited(51_792.5), "Try again in 15 h."),
        (Answer.rate_limited(301), "Try again in 6 min."),
        (OVERLOADED, "Try again in 1 h."),
    ],
    ids=["hours", "minutes", "503"],
)
def test_wait_of_more_than_minutes_ends_the_reply(
    answer: Answer, detail: str, alice: User, google: FakeGemini
) -> None:
    google.script(answer)

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.error_code) == ("failed", "rate_limited")
    assert reply.error_detail.endswith(detail)
    assert render(reply)["error"]["retryable"]
    assert render(reply)["waiting"] is None
    assert len(google.requests) == 1
    assert used_today(alice) == 0


@pytest.mark.parametrize("seconds", ["-5", "1e3", "soon", "", pytest.param("9" * 400, id="huge")])
def test_wait_that_is_no_number_is_as_none(seconds: str, alice: User, google: FakeGemini) -> None:
    google.script(Answer.rate_limited(seconds), Answer(chunks=["Hello."]))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.content) == ("complete", "Hello.")


def test_queued_reply_shows_its_wait_in_every_read(
    alice: User, alice_api: APIClient, gemini: FakeGemini
) -> None:
    gemini.script(Answer.rate_limited(90))
    room = make_room(alice)

    reply = run(post(room))

    waiting = alice_api.get(f"/api/v1/message/{reply.pk}").json()["waiting"]
    [_, of_list] = alice_api.get(f"/api/v1/chatroom/{room.pk}").json()["messages"]
    assert waiting["reason"] == "rate_limited"
    assert waiting["retry_at"].startswith(f"{reply.retry_at:%Y-%m-%dT%H:%M:%S}")
    assert of_list["waiting"] == waiting
    Message.objects.update(retry_at=timezone.now())
    assert alice_api.get(f"/api/v1/message/{reply.pk}").json()["waiting"] is None
    assert run(reply).status == "complete"
    assert alice_api.get(f"/api/v1/message/{reply.pk}").json()["waiting"] is None


def test_reply_that_a_worker_holds_shows_its_wait(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer.rate_limited(4), Answer(chunks=["Hello."]))
    reply = post(make_room(alice))

    worker = in_thread(generate_reply, str(reply.pk))
    waiting = eventually(lambda: render(Message.objects.get(pk=reply.pk))["waiting"])
    worker.join(30)

    assert waiting["reason"] == "rate_limited"
    ended = Message.objects.get(pk=reply.pk)
    assert (ended.status, render(ended)["waiting"]) == ("complete", None)


def first_event(reply: Message, act: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Read the first event of a stream before any ping, beside `act`."""

    async def read() -> dict[str, Any]:
        hub = StreamHub()
        async with hub.opened(), asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(act))
            async for part in events.events(reply, Position(0, 0), hub=hub, render=render):
                if part.startswith(b"id: "):
                    fields = dict(line.split(": ", 1) for line in part.decode().split("\n") if line)
                    return {"event": fields["event"], "data": json.loads(fields["data"])}
        raise AssertionError("the stream has ended")

    return asyncio.run(asyncio.wait_for(read(), events.PING_SECONDS / 2))


def test_follower_gets_a_wait_as_an_event(alice: User) -> None:
    reply = post(make_room(alice))

    def wait() -> None:
        eventually(lambda: client().pubsub_numsub(stream_key(reply.pk))[0][1])
        retry_at = timezone.now() + timedelta(minutes=2)
        Message.objects.filter(pk=reply.pk).update(retry_at=retry_at, wait_reason="unavailable")
        publish_wait(reply.pk)
        connection.close()

    event = first_event(reply, wait)

    assert event["event"] == "reply.waiting"
    assert event["data"]["reason"] == "unavailable"
    assert first_event(Message.objects.get(pk=reply.pk)) == event

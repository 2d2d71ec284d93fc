"""Staff retry failed replies: once, at no cost, and as if they had not failed."""

import asyncio
import io
import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEvent, User
from billing.models import DailyQuota, UsageRecord
from chatrooms.models import Chatroom
from gemchat.stores.redis import client
from messaging.api.stream import render
from messaging.conversation import actions
from messaging.models import Message
from messaging.replies.claims import claim_reply
from messaging.replies.generation import MAX_ATTEMPTS
from messaging.replies.retry import NotFailed, retry
from messaging.streaming.buffer import Position, publish_stop, stop_key
from messaging.streaming.events import events as live_events
from messaging.streaming.hub import StreamHub
from tests.support.backoffice.staff_client import act, events, flash_messages, url
from tests.support.backoffice.staff_rows import failed_reply
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import in_thread, post, run
from tests.support.plugins.cast import api_for
from tests.support.waiting import at_once, in_background, wait_until_blocked

pytestmark = transactional

# Not tried again by itself, and no fault of the user's.
FAILURE = Answer(status=404)


def used_today(user: User) -> int:
    return DailyQuota.objects.usage(user=user).used


def queued() -> int:
    return client().llen("gemini")


def test_retried_reply_is_made_in_its_place_and_takes_no_quota(
    alice: User, gemini: FakeGemini
) -> None:
    gemini.script(FAILURE, Answer(chunks=["At last"]))
    reply = run(post(make_room(alice)))
    assert (reply.status, reply.provider_code) == ("failed", "404 NOT_FOUND")
    assert used_today(alice) == 0

    retry(reply_id=reply.pk)
    reply = run(reply)

    assert (reply.status, reply.content, reply.error_code) == ("complete", "At last", "")
    assert (reply.attempt, reply.provider_code) == (2, "")
    assert used_today(alice) == 0


def test_failure_that_the_user_paid_for_is_paid_for_once(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(block_reason="SAFETY", chunks=[]), Answer(chunks=["Well"]))
    reply = run(post(make_room(alice)))
    assert (reply.error_code, reply.provider_code) == ("blocked", "SAFETY")

    retry(reply_id=reply.pk)
    reply = run(reply)

    assert reply.status == "complete"
    assert used_today(alice) == 1


def test_failure_that_was_paid_for_gives_back_once_when_it_fails_otherwise(
    alice: User, gemini: FakeGemini
) -> None:
    gemini.script(Answer(block_reason="SAFETY", chunks=[]), FAILURE, FAILURE)
    reply = run(post(make_room(alice)))
    for _ in range(2):
        retry(reply_id=reply.pk)
        reply = run(reply)

    assert reply.error_code == "misconfigured"
    assert used_today(alice) == 0


def test_reply_retried_twenty_times_at_once_is_queued_once(alice: User) -> None:
    reply = failed_reply(alice)

    def attempt() -> str:
        try:
            retry(reply_id=reply.pk)
        except NotFailed:
            return "refused"
        return "retried"

    answers = at_once(20, attempt)

    assert sorted(set(answers)) == ["refused", "retried"]
    assert answers.count("retried") == 1
    assert queued() == 1


def test_retry_that_waited_for_another_one_changes_nothing(alice: User) -> None:
    reply = failed_reply(alice)
    with transaction.atomic():
        assert Message.objects.requeue_failed(reply_id=reply.pk)
        again = partial(Message.objects.requeue_failed, reply_id=reply.pk)
        second = in_background(again)
        wait_until_blocked()

    assert second.result(10) is False


def test_reply_made_twice_by_two_workers_is_written_once(alice: User, gemini: FakeGemini) -> None:
    reply = failed_reply(alice)
    retry(reply_id=reply.pk)

    threads = [in_thread(run, reply) for _ in range(4)]
    for thread in threads:
        thread.join(30)

    assert UsageRecord.objects.filter(reply_id=reply.pk).count() == 1
    assert len(gemini.requests) == 1


@pytest.mark.parametrize("status", ["complete", "stopped", "queued"])
def test_only_failed_replies_are_retried(alice: User, status: str) -> None:
    ended = None if status == "queued" else timezone.now()
    reply = failed_reply(alice, status=status, code="", ended_at=ended)

    with pytest.raises(NotFailed):
        retry(reply_id=reply.pk)

    reply.refresh_from_db()
    assert reply.status == status
    assert queued() == 0


def test_reply_of_a_deleted_room_is_not_retried(alice: User) -> None:
    reply = failed_reply(alice)
    Chatroom.objects.mark_deleted(now=timezone.now())

    with pytest.raises(NotFailed):
        retry(reply_id=reply.pk)


def test_tries_before_the_retry_do_not_count(alice: User, gemini: FakeGemini) -> None:
    reply = failed_reply(alice, attempt=MAX_ATTEMPTS + 1, code="internal")

    retry(reply_id=reply.pk)
    reply = run(reply)

    assert reply.status == "complete"
    assert (reply.attempt, reply.tries) == (MAX_ATTEMPTS + 2, 1)


def test_old_wish_to_stop_does_not_stop_the_retry(alice: User, gemini: FakeGemini) -> None:
    reply = failed_reply(alice, stop_requested=True)
    publish_stop(reply.pk)

    retry(reply_id=reply.pk)
    reply = run(reply)

    assert reply.status == "complete"
    assert not client().exists(stop_key(reply.pk))


def test_partial_text_of_the_failure_is_void(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["Half a"], ending="drop"), Answer(chunks=["Whole"]))
    reply = run(post(make_room(alice)))
    assert (reply.error_code, reply.content) == ("interrupted", "Half a")

    retry(reply_id=reply.pk)
    reply.refresh_from_db()
    assert reply.content == ""

    assert run(reply).content == "Whole"


def test_later_prompts_of_the_room_wait_for_the_retried_reply(
    carol: User, gemini: FakeGemini
) -> None:
    room = make_room(carol)
    gemini.script(FAILURE)
    first = run(post(room, "First"))
    second = post(room, "Second")

    retry(reply_id=first.pk)

    assert run(second).status == "queued"
    assert run(first).status == "complete"
    assert run(second).status == "complete"


def test_retry_while_a_later_reply_is_being_made_waits_for_it(carol: User) -> None:
    room = make_room(carol)
    first = failed_reply(carol, room=room)
    Chatroom.objects.filter(pk=room.pk).update(active_leaf=first.pk)
    second = post(room, "Second")
    assert claim_reply(reply_id=second.pk, now=timezone.now())

    retry(reply_id=first.pk)

    assert claim_reply(reply_id=first.pk, now=timezone.now()) is None


def read_from(reply: Message, position: Position) -> list[bytes]:
    async def read() -> list[bytes]:
        hub = StreamHub()
        hub.open()
        try:
            stream = live_events(reply, position, hub=hub, render=render)
            return [part async for part in stream]
        finally:
            await hub.close()

    return asyncio.run(asyncio.wait_for(read(), 20))


@pytest.mark.parametrize("seen", [Position(0, 0), Position(1, 6), Position(1, 7)])
def test_readers_get_the_new_text_whatever_they_have_seen(
    alice: User, gemini: FakeGemini, seen: Position
) -> None:
    gemini.script(
        Answer(chunks=["Half a"], ending="drop"), Answer(chunks=["Wh", "ole"], chunk_delay=0.3)
    )
    reply = run(post(make_room(alice)))

    retry(reply_id=reply.pk)
    reply.refresh_from_db()
    worker = in_thread(run, reply)
    parts = read_from(reply, seen)
    worker.join(30)

    named = [part.decode().split("\n") for part in parts if part.startswith(b"id")]
    names = [lines[1].removeprefix("event: ") for lines in named]
    deltas = [json.loads(lines[2].removeprefix("data: "))["text"] for lines in named[-3:-1]]
    assert names == [
        *(["reply.restarted"] if seen.offset else []),
        "reply.delta",
        "reply.delta",
        "reply.completed",
    ]
    assert deltas == ["Wh", "ole"]


def test_api_shows_a_retried_reply_as_under_way(alice: User) -> None:
    reply = failed_reply(alice)

    retry(reply_id=reply.pk)

    read = api_for(alice).get(f"/api/v1/message/{reply.pk}").json()
    assert (read["status"], read["error"], read["content"]) == ("queued", None, "")


def test_staff_retry_a_reply_twice_clicked_is_once_retried(staff_client: Any, alice: User) -> None:
    reply = failed_reply(alice)

    first, second = act(staff_client, "retry", reply), act(staff_client, "retry", reply)

    assert "queued again" in flash_messages(first)
    assert "not there as failed" in flash_messages(second)
    assert queued() == 1
    [event] = events("reply_retried")
    assert (event.target, event.user_id) == (str(reply.pk), alice.pk)


def test_page_of_a_reply_has_the_history_of_its_attempts(
    staff_client: Any, alice: User, gemini: FakeGemini
) -> None:
    gemini.script(FAILURE, Answer(chunks=["At last"]))
    reply = run(post(make_room(alice)))
    retry(reply_id=reply.pk)
    run(reply)

    page = staff_client.get(url(Message, "change", reply.pk)).content.decode()

    assert "404 NOT_FOUND" in page
    first, second = UsageRecord.objects.order_by("attempt")
    assert (first.outcome, first.error_code, first.provider_code) == (
        "failed",
        "misconfigured",
        "404 NOT_FOUND",
    )
    assert first.reply_ms is not None
    assert (second.outcome, second.reply_ms) == ("complete", None)


def command(*arguments: str) -> Any:
    out = io.StringIO()
    call_command("replies_retry", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_command_retries_by_code_and_age_up_to_a_limit(alice: User) -> None:
    replies = [failed_reply(alice) for _ in range(3)]
    failed_reply(alice, code="blocked")
    failed_reply(alice, id="00000000-0000-7000-8000-000000000000")

    since = (timezone.now() - timedelta(hours=1)).isoformat()
    found = command("--since", since, "--code", "unavailable", "--limit", "2")

    assert found == {
        "found": 2,
        "by_code": {"unavailable": 2},
        "retried": 2,
        "dry_run": False,
    }
    waiting = Message.objects.filter(status="queued").values_list("pk", flat=True)
    assert set(waiting) == {replies[0].pk, replies[1].pk}
    assert {event.actor for event in events("reply_retried")} == {"command"}


def test_command_of_a_dry_run_does_nothing(alice: User) -> None:
    failed_reply(alice)

    assert command("--dry-run")["retried"] == 0
    assert queued() == 0
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    "arguments", [["--limit", "0"], ["--code", "nonsense"], ["--since", "yesterday"]]
)
def test_command_refuses_what_makes_no_sense(db: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        command(*arguments)


def test_regenerating_is_still_the_users_and_takes_quota(alice: User) -> None:
    reply = failed_reply(alice)

    actions.regenerate(user=alice, reply=reply)

    assert used_today(alice) == 1

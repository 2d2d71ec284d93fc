"""Every request to Gemini is in the ledger and counts against the user's purse."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import DailyQuota, UsageRecord
from billing.tests.plans import with_plan
from chatrooms.models import Chatroom
from gemchat.stores.redis import client
from messaging.conversation import actions
from messaging.conversation.deletion import erase_room
from messaging.conversation.titles import title_room
from messaging.gemini import Usage
from messaging.models import Message
from messaging.replies.claims import claim_reply
from messaging.replies.finish import Ending, store_end
from messaging.replies.running import SHUTDOWN, running_replies
from messaging.tasks import generate_reply, name_room, sweep_replies
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.prices import set_price
from tests.support.messaging.rooms import make_room, url_of
from tests.support.messaging.worker import in_thread, post, run
from tests.support.plugins.cast import api_for
from tests.support.waiting import at_once

pytestmark = transactional
PROMPT = "Write a book about rivers. " * 40
SILENT = Answer(chunks=[], ending="hang")


@pytest.fixture(autouse=True)
def many_sends(settings: Any) -> None:
    with_plan(settings, "basic", sends_per_minute=1000)
    with_plan(settings, "pro", sends_per_minute=1000)


@pytest.fixture(autouse=True)
def prices(settings: Any) -> None:
    """A dollar for a million tokens of any kind."""
    set_price(settings.GEMINI_MODEL, input=10**6, cached=10**6, output=10**6)


def today(user: User) -> DailyQuota:
    return DailyQuota.objects.of_today(user=user)


def ended_meanwhile(reply: Message, gemini: FakeGemini, act: Callable[[], Any]) -> Message:
    """Start a reply, act while Gemini is silent, and wait for the end."""
    asked = len(gemini.requests)
    thread = in_thread(generate_reply, str(reply.pk))
    # The first try of a process imports the SDK.
    gemini.wait_for(lambda fake: len(fake.requests) > asked, seconds=60)
    act()
    thread.join(20)
    assert not thread.is_alive(), "the reply's task did not end"
    if Message.objects.filter(pk=reply.pk).exists():
        reply.refresh_from_db()
    return reply


def stopped(reply: Message, gemini: FakeGemini) -> Message:
    gemini.script(SILENT)
    return ended_meanwhile(reply, gemini, lambda: actions.stop(reply=reply))


def test_stop_before_the_first_text_is_in_the_ledger(alice: User, gemini: FakeGemini) -> None:
    reply = stopped(post(make_room(alice), PROMPT), gemini)

    assert (reply.status, reply.content) == ("stopped", "")
    record = UsageRecord.objects.get()
    assert (record.outcome, record.estimated) == ("stopped", True)
    assert record.prompt_tokens == len(PROMPT) // 4
    assert record.cost_micro_usd == record.prompt_tokens == today(alice).cost_micro_usd
    assert reply.prompt_tokens == record.prompt_tokens


def test_stops_after_gemini_was_reached_give_back_three_times_a_day(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    with_plan(settings, "basic", daily_limit=5)
    api, room = api_for(alice), make_room(alice)

    accepted = 0
    while (answer := api.post(url_of(room), {"prompt": PROMPT})).status_code == 202:
        accepted += 1
        assert accepted < 20, "stops give back without end"
        reply = Message.objects.get(pk=answer.json()["data"]["reply"]["id"])
        stopped(reply, gemini)

    assert (accepted, answer.json()["code"]) == (8, "quota_exceeded")
    assert (today(alice).used, today(alice).unanswered) == (5, 8)
    held = Message.objects.filter(sender="gemini").exclude(quota_day=None)
    assert held.count() == 5


def test_regenerated_and_edited_replies_are_of_the_same_purse(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GIVE_BACKS_PER_DAY = 1
    reply = stopped(post(make_room(alice)), gemini)

    again = actions.regenerate(user=alice, reply=reply).reply
    stopped(again, gemini)
    edited = actions.edit(user=alice, message=reply.parent, prompt="Other").reply
    stopped(edited, gemini)

    assert (today(alice).used, today(alice).unanswered) == (2, 3)


def test_stop_while_queued_gives_back_always(alice: User, settings: Any) -> None:
    settings.GIVE_BACKS_PER_DAY = 0

    for _ in range(6):
        actions.stop(reply=post(make_room(alice)))

    assert (today(alice).used, today(alice).unanswered) == (0, 0)
    assert not UsageRecord.objects.exists()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(chunks=[]), "empty"),
        (Answer(chunks=[], finish_reason="MAX_TOKENS"), "empty"),
        (SILENT, "timeout"),
        (Answer(chunks=["Once "], ending="trickle", chunk_delay=0.05), "timeout"),
    ],
)
def test_failures_that_a_prompt_brings_about_are_of_the_same_purse(
    answer: Answer, code: str, alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GIVE_BACKS_PER_DAY = 1
    if code == "timeout":
        settings.GEMINI_FIRST_BYTE_SECONDS, settings.GEMINI_TOTAL_SECONDS = 0.5, 1.0
    gemini.default = replace(answer, usage=False)

    ends = [run(post(make_room(alice), PROMPT)) for _ in range(2)]

    assert [reply.error_code for reply in ends] == [code, code]
    assert (today(alice).used, today(alice).unanswered) == (1, 2)
    for record in UsageRecord.objects.all():
        assert record.estimated
        assert record.prompt_tokens == len(PROMPT) // 4
        assert record.cost_micro_usd > 0


@pytest.mark.parametrize(
    "answer", [Answer.unavailable(404), Answer.rate_limited(day=True), Answer.bad_key()]
)
def test_attempt_that_gemini_refused_costs_nothing_and_gives_back_always(
    answer: Answer, alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GIVE_BACKS_PER_DAY = 0
    gemini.default = answer

    run(post(make_room(alice), PROMPT))

    record = UsageRecord.objects.get()
    assert (record.prompt_tokens, record.cost_micro_usd) == (0, 0)
    assert (today(alice).used, today(alice).unanswered) == (0, 0)


def test_stop_between_two_tries_costs_nothing(alice: User, gemini: FakeGemini) -> None:
    gemini.default = Answer.unavailable(503)
    reply = post(make_room(alice))

    ended_meanwhile(reply, gemini, lambda: actions.stop(reply=reply))

    assert reply.status == "stopped"
    assert today(alice).used == 0
    record = UsageRecord.objects.get()
    assert record.prompt_tokens in (0, len("Hello") // 4)


def test_thoughts_before_a_wait_in_the_queue_are_in_the_ledger(
    alice: User, gemini: FakeGemini
) -> None:
    thoughts = Answer(thoughts=["12345678"], chunks=[], ending="drop")
    gemini.script(thoughts, Answer.rate_limited(90))

    reply = run(post(make_room(alice), PROMPT))

    assert reply.status == "queued"
    record = UsageRecord.objects.get()
    assert (record.outcome, record.thinking_tokens, record.attempt) == ("requeued", 2, 1)
    assert today(alice).cost_micro_usd == record.cost_micro_usd > 0


def test_usage_that_gemini_reported_wins_over_an_estimate(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["Once"], ending="error"))

    reply = run(post(make_room(alice), PROMPT))

    assert reply.error_code == "interrupted"
    record = UsageRecord.objects.get()
    assert (record.estimated, record.prompt_tokens > 0) == (False, True)


def test_deletion_of_the_room_gives_back_out_of_the_same_purse(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GIVE_BACKS_PER_DAY = 1
    for _ in range(2):
        room = make_room(alice, temporary=True)
        reply = post(room, PROMPT)
        gemini.script(SILENT)

        def delete(room: Chatroom = room) -> None:
            actions.delete(room=room)
            erase_room(chatroom_id=room.pk)

        ended_meanwhile(reply, gemini, delete)
        erase_room(chatroom_id=room.pk)

    assert not Message.objects.exists()
    assert (today(alice).used, today(alice).unanswered) == (1, 2)
    assert UsageRecord.objects.filter(outcome="stopped", cost_micro_usd__gt=0).count() == 2


def test_give_backs_are_exact_when_replies_end_at_once(carol: User, settings: Any) -> None:
    with_plan(settings, "pro", concurrent_replies=8)
    replies = [post(make_room(carol)) for _ in range(8)]
    now = timezone.now()
    claimed = [claim_reply(reply_id=reply.pk, now=now).reply for reply in replies]
    usage = Usage(10, 0, 0, 0, estimated=True)
    ends = iter(claimed)

    def end() -> bool:
        return store_end(next(ends), content="", ending=Ending("stopped", usage=usage))

    assert all(at_once(8, end))
    assert (today(carol).used, today(carol).unanswered) == (5, 8)
    assert Message.objects.filter(status="stopped", quota_day=None).count() == 3


def test_reply_of_yesterday_gives_back_yesterdays_slot(alice: User, gemini: FakeGemini) -> None:
    reply = post(make_room(alice))
    yesterday = reply.quota_day - timedelta(days=1)
    DailyQuota.objects.filter(user=alice).update(day=yesterday)
    Message.objects.filter(pk=reply.pk).update(quota_day=yesterday)

    stopped(reply, gemini)

    assert today(alice).used == 0
    assert DailyQuota.objects.get(user=alice, day=yesterday).used == 0


def test_attempt_of_a_worker_that_ends_is_in_the_ledger(alice: User, gemini: FakeGemini) -> None:
    reply = post(make_room(alice), PROMPT)
    gemini.script(SILENT)

    ended_meanwhile(reply, gemini, lambda: running_replies.cancel_all(SHUTDOWN))

    assert reply.status == "queued"
    record = UsageRecord.objects.get()
    assert (record.outcome, record.prompt_tokens) == ("requeued", len(PROMPT) // 4)
    assert today(alice).cost_micro_usd == record.cost_micro_usd > 0
    assert today(alice).used == 1


def test_attempt_of_a_killed_worker_is_in_the_ledger(alice: User, gemini: FakeGemini) -> None:
    reply = post(make_room(alice), PROMPT)
    claim_reply(reply_id=reply.pk, now=timezone.now() - timedelta(minutes=5))
    client().xadd(f"reply:{reply.pk}", {"text": "x" * 400}, id="1-400")

    sweep_replies()
    sweep_replies()

    record = UsageRecord.objects.get()
    assert (record.outcome, record.attempt, record.estimated) == ("lost", 1, True)
    assert record.prompt_tokens >= len(PROMPT) // 4
    assert record.output_tokens == 100
    assert today(alice).cost_micro_usd == record.cost_micro_usd > 0
    assert run(reply).status == "complete"


@pytest.mark.parametrize("ceiling", ["daily_cost_usd", "minute_cost_usd"])
def test_cost_that_has_reached_its_ceiling_refuses_the_next_send(
    ceiling: str, alice: User, gemini: FakeGemini, settings: Any
) -> None:
    with_plan(settings, "basic", **{ceiling: 0.000_001})
    api, room = api_for(alice), make_room(alice)
    stopped(post(room, PROMPT), gemini)

    answer = api.post(url_of(room), {"prompt": "Hello"})
    again = api.post(
        f"/api/v1/message/{Message.objects.get(sender='user').pk}/edit", {"prompt": "x"}
    )

    for refused in (answer, again):
        assert (refused.status_code, refused.json()["code"]) == (429, "cost_limit_reached")
        assert int(refused["Retry-After"]) > 0
    assert Message.objects.count() == 2


def test_cost_of_a_minute_ends_with_the_minute(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    with_plan(settings, "basic", minute_cost_usd=0.000_001)
    room = make_room(alice)
    stopped(post(room, PROMPT), gemini)
    minute_ago = timezone.now() - timedelta(seconds=61)
    DailyQuota.objects.update(minute_started_at=minute_ago)

    answer = api_for(alice).post(url_of(room), {"prompt": "Hello"})

    assert answer.status_code == 202
    assert (today(alice).minute_sends, today(alice).minute_cost_micro_usd) == (1, 0)


def test_waiting_replies_have_a_limit(carol: User, carol_api: APIClient, settings: Any) -> None:
    with_plan(settings, "pro", waiting_replies=3)
    room = make_room(carol)
    replies = [post(room) for _ in range(3)]

    answer = carol_api.post(url_of(room), {"prompt": "Hello"})
    regenerated = carol_api.post(f"/api/v1/message/{replies[0].pk}/regenerate")
    actions.stop(reply=replies[0])

    for refused in (answer, regenerated):
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_waiting")
        assert int(refused["Retry-After"]) > 0
    assert carol_api.post(url_of(room), {"prompt": "Hello"}).status_code == 202


def test_title_is_in_the_ledger_and_is_no_reply(
    alice: User, alice_api: APIClient, gemini: FakeGemini
) -> None:
    room = make_room(alice)
    run(post(room))
    before = today(alice).cost_micro_usd
    gemini.script(Answer(chunks=["Rivers"], usage=False))

    title_room(chatroom_id=room.pk)

    room.refresh_from_db()
    title = UsageRecord.objects.get(purpose="title")
    assert room.title == "Rivers"
    assert (title.outcome, title.estimated, title.user_id) == ("complete", True, alice.pk)
    assert title.cost_micro_usd > 0
    assert today(alice).cost_micro_usd == before + title.cost_micro_usd
    usage = alice_api.get("/api/v1/user/me/usage").json()["totals"]
    assert usage["replies"] == 1
    assert usage["cost_micro_usd"] == today(alice).cost_micro_usd


def test_title_is_asked_for_once_after_a_reply(alice: User, gemini: FakeGemini) -> None:
    room = make_room(alice)
    run(post(room))
    asked = len(gemini.requests)
    gemini.default = Answer(chunks=["New chat"])

    for _ in range(3):
        title_room(chatroom_id=room.pk)

    assert len(gemini.requests) == asked + 1


def test_cost_of_a_title_outlives_its_room(alice: User, gemini: FakeGemini) -> None:
    room = make_room(alice)
    run(post(room))
    gemini.script(Answer(chunks=["Rivers"], first_delay=1.0))
    asked = len(gemini.requests)
    thread = in_thread(name_room, str(room.pk))
    gemini.wait_for(lambda fake: len(fake.requests) > asked)

    actions.delete(room=room)
    erase_room(chatroom_id=room.pk)
    thread.join(20)

    assert UsageRecord.objects.get(purpose="title").user_id is None


def test_prompt_that_is_stopped_while_queued_counts_to_the_days_text(
    alice: User, alice_api: APIClient, settings: Any
) -> None:
    with_plan(settings, "basic", daily_text_mb=1)
    room = make_room(alice)
    sent = 0

    while (answer := alice_api.post(url_of(room), {"prompt": "x" * 32_000})).status_code == 202:
        sent += 1
        assert sent < 60, "text has no limit"
        actions.stop(reply=Message.objects.get(pk=answer.json()["data"]["reply"]["id"]))

    assert (answer.status_code, answer.json()["code"]) == (429, "text_limit_reached")
    assert sent == 30
    assert today(alice).used == 0

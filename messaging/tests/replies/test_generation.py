"""A reply is claimed once, streamed, ended once, and charged only when it is due."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import DailyQuota, UsageRecord
from gemchat.stores.redis import client
from messaging.conversation import actions
from messaging.conversation.model_choice import ModelChoice
from messaging.models import GeminiModel, Message
from messaging.replies.claims import claim_reply
from messaging.replies.generation import MAX_ATTEMPTS, strip_unstorable
from messaging.replies.running import SHUTDOWN, running_replies
from messaging.streaming.buffer import Position, stream_key
from messaging.tasks import generate_reply, sweep_replies
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.prices import set_price
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import in_thread, post, run
from tests.support.waiting import eventually

pytestmark = transactional

EARLY_STOP = {"candidates": [{"finishReason": "STOP"}]}
LATE_TEXT = {"candidates": [{"content": {"parts": [{"text": "Half"}], "role": "model"}}]}


def used_today(user: User) -> int:
    return DailyQuota.objects.usage(user=user).used


def test_reply_is_stored_whole_with_its_usage(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["Good", " mor", "ning 🦄"]))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.content) == ("complete", "Good morning 🦄")
    assert (reply.attempt, reply.finish_reason, reply.error_code) == (1, "stop", "")
    assert reply.lease_expires_at is None
    assert reply.prompt_tokens > 0
    assert reply.output_tokens > 0
    assert reply.started_at <= reply.first_token_at <= reply.ended_at
    assert used_today(alice) == 1
    record = UsageRecord.objects.get()
    assert (record.reply_id, record.attempt, record.user_id) == (reply.pk, 1, alice.pk)
    assert record.prompt_tokens == reply.prompt_tokens


def test_reply_that_gemini_cut_has_the_name_of_the_reason(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["Once"], finish_reason="CONTINUATION"))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.finish_reason) == ("complete", "max_tokens")
    assert reply.provider_code == "CONTINUATION"


def test_cost_is_taken_from_the_model_table(alice: User, gemini: FakeGemini, settings: Any) -> None:
    set_price(settings.GEMINI_MODEL, input=1_000_000, cached=0, output=2_000_000)

    reply = run(post(make_room(alice)))

    record = UsageRecord.objects.get()
    expected = reply.prompt_tokens - reply.cached_tokens
    expected += 2 * (reply.output_tokens + reply.thinking_tokens)
    assert record.cost_micro_usd == expected


def test_retired_model_is_replaced_by_its_fallback(alice: User, gemini: FakeGemini) -> None:
    newer = GeminiModel.objects.create(name="gemini-new")
    GeminiModel.objects.create(name="gemini-old", retires_on=timezone.now().date(), fallback=newer)
    room = make_room(alice)
    accepted = actions.post_message(
        user=alice, chatroom_id=room.pk, prompt="Hello", wanted=ModelChoice(model="gemini-old")
    )

    run(accepted.reply)

    assert [asked.model for asked in gemini.requests] == ["gemini-new"]


def test_task_delivered_eight_times_at_once_asks_gemini_once(
    alice: User, gemini: FakeGemini
) -> None:
    reply = post(make_room(alice))

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(generate_reply, [str(reply.pk)] * 8))

    reply.refresh_from_db()
    assert reply.status == "complete"
    assert len(gemini.requests) == 1
    assert UsageRecord.objects.count() == 1


@pytest.mark.parametrize(
    ("answer", "code", "gives_back"),
    [
        (Answer.bad_key(), "misconfigured", True),
        (Answer.unavailable(404), "misconfigured", True),
        (Answer(status=402), "misconfigured", True),
        (Answer(status=400, raw_body="<html>"), "misconfigured", True),
        (Answer(status=400), "bad_request", False),
        (Answer.rate_limited(day=True), "rate_limited", True),
        (Answer(chunks=[]), "empty", True),
        (Answer(chunks=["Half an ans", "wer"], ending="drop"), "interrupted", True),
        (Answer(block_reason="SAFETY"), "blocked", False),
        (Answer(chunks=["Well"], finish_reason="SAFETY"), "blocked", False),
        (Answer(chunks=["Well"], finish_reason="MODEL_ARMOR"), "blocked", False),
        (Answer(chunks=["Well"], finish_reason="MALFORMED_FUNCTION_CALL"), "interrupted", True),
        (Answer(messages=[EARLY_STOP, LATE_TEXT], ending="drop"), "interrupted", True),
    ],
)
def test_failure_has_a_code_and_gives_the_quota_back_if_not_the_users_own(
    answer: Answer, code: str, gives_back: bool, alice: User, gemini: FakeGemini
) -> None:
    gemini.script(answer)

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.error_code) == ("failed", code)
    assert reply.error_detail.endswith(".")
    assert used_today(alice) == (0 if gives_back else 1)
    assert len(gemini.requests) == 1


def test_interrupted_reply_keeps_its_partial_text(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["One ", "two ", "three"], ending="drop"))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.error_code) == ("failed", "interrupted")
    assert "One two ".startswith(reply.content) or reply.content == "One two three"
    assert reply.content
    assert len(gemini.requests) == 1


def test_unexpected_error_fails_the_reply_and_is_raised(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_BACKEND = "messaging.gemini.nowhere.Backend"
    reply = post(make_room(alice))

    with pytest.raises(ImportError):
        generate_reply(str(reply.pk))

    reply.refresh_from_db()
    assert (reply.status, reply.error_code) == ("failed", "internal")
    assert used_today(alice) == 0


def test_rate_limit_beyond_the_budget_is_waited_for_in_the_queue(
    alice: User, gemini: FakeGemini
) -> None:
    gemini.script(Answer.rate_limited(90))

    reply = run(post(make_room(alice)))

    assert reply.status == "queued"
    assert reply.retry_at - timezone.now() > timedelta(seconds=60)
    assert used_today(alice) == 1
    assert run(reply).status == "queued"
    assert len(gemini.requests) == 1

    Message.objects.update(retry_at=timezone.now())
    assert run(reply).status == "complete"


def test_stop_of_a_queued_reply_ends_it_and_gives_the_quota_back(
    alice: User, gemini: FakeGemini
) -> None:
    reply = post(make_room(alice))

    actions.stop(reply=reply)

    assert (run(reply).status, reply.content) == ("stopped", "")
    assert used_today(alice) == 0
    assert gemini.requests == []


def test_stop_in_mid_reply_keeps_the_text_and_closes_the_connection(
    alice: User, gemini: FakeGemini
) -> None:
    gemini.script(Answer(chunks=["Once upon", " a time"], ending="hang"))
    reply = post(make_room(alice))
    thread = in_thread(generate_reply, str(reply.pk))
    eventually(lambda: Message.objects.filter(pk=reply.pk, status="generating").exists())
    gemini.wait_for(lambda fake: fake.requests)
    reply.refresh_from_db()
    eventually(lambda: live_text(reply) == "Once upon a time")

    actions.stop(reply=reply)

    thread.join(1)
    assert not thread.is_alive(), "the reply was not stopped within a second"
    reply.refresh_from_db()
    assert (reply.status, reply.content) == ("stopped", "Once upon a time")
    assert used_today(alice) == 1
    gemini.wait_for(lambda fake: fake.requests[0].client_closed)


def test_stop_reaches_the_worker_though_redis_lost_its_mark(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.REPLY_LEASE_SECONDS = 1.0
    gemini.script(Answer(chunks=["Once"], ending="hang"))
    reply = post(make_room(alice))
    thread = in_thread(generate_reply, str(reply.pk))
    eventually(lambda: live_text(reply) == "Once")

    Message.objects.request_stop(reply=reply)

    thread.join(5)
    reply.refresh_from_db()
    assert (reply.status, reply.content) == ("stopped", "Once")


def test_stop_reaches_the_worker_within_a_second_though_redis_is_down(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.REPLY_LEASE_SECONDS = 60.0
    gemini.script(Answer(chunks=["Once"], ending="hang"))
    reply = post(make_room(alice))
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    client.cache_clear()
    thread = in_thread(generate_reply, str(reply.pk))
    gemini.wait_for(lambda fake: fake.requests)

    Message.objects.request_stop(reply=reply)

    thread.join(2)
    client.cache_clear()
    reply.refresh_from_db()
    assert reply.status == "stopped"


def test_second_stop_answers_as_the_first(alice: User, gemini: FakeGemini) -> None:
    reply = post(make_room(alice))

    first = actions.stop(reply=reply)
    second = actions.stop(reply=first)

    assert (second.status, second.ended_at) == (first.status, first.ended_at)
    assert used_today(alice) == 0


def live_text(reply: Message) -> str:
    """The text in the buffer, whose entries may overlap."""
    live = ""
    for entry_id, fields in client().xrange(stream_key(reply.pk)):
        if text := fields.get("text"):
            live = live[: Position.parse(entry_id).offset - len(text)] + text
    return live


def test_reply_whose_worker_died_is_made_again(alice: User, gemini: FakeGemini) -> None:
    reply = post(make_room(alice))
    claim_reply(reply_id=reply.pk, now=timezone.now() - timedelta(minutes=5))

    swept = sweep_replies()

    assert swept["taken_back"] == 1
    assert (run(reply).status, reply.attempt) == ("complete", 2)
    assert used_today(alice) == 1


def test_worker_that_ends_gives_its_reply_back_to_the_queue_at_once(
    alice: User, gemini: FakeGemini
) -> None:
    gemini.script(Answer(chunks=["Half"], ending="hang"), Answer(chunks=["Whole"]))
    reply = post(make_room(alice))
    client().delete("gemini")
    thread = in_thread(generate_reply, str(reply.pk))
    eventually(lambda: live_text(reply) == "Half")

    running_replies.cancel_all(SHUTDOWN)

    thread.join(5)
    reply.refresh_from_db()
    assert (reply.status, reply.content) == ("queued", "")
    assert client().llen("gemini") == 1
    assert run(reply).content == "Whole"
    assert used_today(alice) == 1


def test_reply_that_was_to_stop_when_its_worker_died_is_not_made_again(
    alice: User, gemini: FakeGemini
) -> None:
    reply = post(make_room(alice))
    claim_reply(reply_id=reply.pk, now=timezone.now() - timedelta(minutes=5))
    actions.stop(reply=reply)
    sweep_replies()

    assert run(reply).status == "stopped"
    assert gemini.requests == []


def test_reply_that_takes_every_worker_down_ends_as_failed(alice: User, gemini: FakeGemini) -> None:
    reply = post(make_room(alice))
    Message.objects.filter(pk=reply.pk).update(attempt=MAX_ATTEMPTS)

    assert run(reply).error_code == "internal"
    assert used_today(alice) == 0
    assert gemini.requests == []


def test_text_that_cannot_be_stored_is_mended(alice: User, gemini: FakeGemini) -> None:
    gemini.script(Answer(chunks=["So \x00", "be it"]))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.content) == ("complete", "So be it")
    assert live_text(reply) == "So be it"
    assert strip_unstorable("half \ud83d of a pair") == "half ? of a pair"


def test_sweep_leaves_a_reply_whose_lease_is_renewed(alice: User) -> None:
    reply = post(make_room(alice))
    claimed = claim_reply(reply_id=reply.pk, now=timezone.now() - timedelta(minutes=5))
    Message.objects.renew_leases(attempts=[(reply.pk, claimed.reply.attempt)], now=timezone.now())

    assert sweep_replies()["taken_back"] == 0


def test_attempt_that_was_overtaken_writes_nothing(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    """The first worker loses the database, until a second worker makes the reply."""
    settings.REPLY_LEASE_SECONDS = 5.0
    gemini.script(Answer(chunks=["Of the first"], ending="hang"), Answer(chunks=["Of the second"]))
    reply = post(make_room(alice))
    first = in_thread(generate_reply, str(reply.pk))
    eventually(lambda: live_text(reply) == "Of the first")
    Message.objects.requeue(reply.pk, 1)

    assert run(reply).content == "Of the second"

    first.join(settings.REPLY_LEASE_SECONDS)
    assert not first.is_alive(), "the first worker did not see that it was overtaken"
    reply.refresh_from_db()
    assert (reply.status, reply.content, reply.attempt) == ("complete", "Of the second", 2)
    first_use, second_use = UsageRecord.objects.order_by("attempt")
    assert (first_use.attempt, first_use.outcome) == (1, "lost")
    assert (second_use.attempt, second_use.outcome) == (2, "complete")


def test_room_makes_one_reply_at_a_time_in_order(carol: User, gemini: FakeGemini) -> None:
    room = make_room(carol)
    first, second = post(room, "First"), post(room, "Second")

    assert run(second).status == "queued"
    assert run(first).status == "complete"
    assert run(second).status == "complete"
    assert [asked.prompt for asked in gemini.requests] == ["First", "Second"]


def test_end_of_a_reply_sends_the_next_one(alice: User, gemini: FakeGemini) -> None:
    room = make_room(alice)
    first, second = post(room, "First"), post(room, "Second")
    client().delete("gemini")

    run(first)

    queued = [json.loads(sent)["headers"] for sent in client().lrange("gemini", 0, -1)]
    assert [h["argsrepr"] for h in queued if "generate_reply" in h["task"]] == [f"['{second.pk}']"]
    assert run(second).status == "complete"


def test_sweep_enqueues_replies_that_the_queue_never_got(alice: User, gemini: FakeGemini) -> None:
    post(make_room(alice))
    client().delete("gemini")
    assert sweep_replies()["unsent"] == 0

    Message.objects.filter(sender="gemini").update(resend_at=timezone.now())

    assert sweep_replies()["unsent"] == 1
    assert client().llen("gemini") == 1
    assert sweep_replies()["unsent"] == 0

"""Prices by day: each attempt costs the price of the day of the attempt's start."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import DailyQuota, UsageRecord
from chatrooms.models import Chatroom
from messaging.conversation import actions
from messaging.conversation.model_choice import ModelChoice
from messaging.conversation.titles import title_room
from messaging.gemini import Completion, Usage
from messaging.models import GeminiModel, Message
from messaging.models.gemini_models import ModelPrice, model_in_service
from messaging.replies.claims import claim_reply
from messaging.replies.finish import Ending, store_end
from messaging.replies.requeue import requeue_expired
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.prices import set_price
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import post, run

TOKENS = {"prompt_tokens": 1001, "cached_tokens": 1, "output_tokens": 90, "thinking_tokens": 10}

# Micro-USD of each token are whole numbers, so a lost token shows in the cost.
PRICE = {"input": 10**6, "cached": 10**5, "output": 7 * 10**6, "search_query": 14_000}
USED = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 200,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 3,
    "toolUsePromptTokenCount": 4000,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 300}],
}


def day(days: int) -> date:
    return timezone.now().date() + timedelta(days=days)


@pytest.mark.parametrize(
    ("model", "first_day", "costs"),
    [
        ("gemini-4-argon", datetime(2026, 12, 1, tzinfo=UTC), [3001, 6001]),
        ("gemini-3.8-flash", datetime(2027, 1, 1, tzinfo=UTC), [1126, 2251]),
    ],
)
def test_reply_a_second_around_an_announced_price_has_its_own_price(
    model: str, first_day: datetime, costs: list[int], alice: User
) -> None:
    second = timedelta(seconds=1)
    times = [first_day - second, first_day + second]

    before = end_at(post(make_room(alice)), times[0], model=model)
    [old] = UsageRecord.objects.values()
    after = end_at(post(make_room(alice)), times[1], model=model)

    assert [before.cost_micro_usd, after.cost_micro_usd] == costs
    assert [before.started_at, after.started_at] == times
    assert UsageRecord.objects.values().get(pk=old["id"]) == old


def end_at(reply: Message, at: datetime, *, model: str) -> UsageRecord:
    """Claim a reply at a time and store the end, as a worker does."""
    Message.objects.filter(pk=reply.pk).update(model=model)
    claimed = claim_reply(reply_id=reply.pk, now=at)
    assert claimed is not None
    completion = Completion("stop", Usage(**TOKENS), model)
    ending = replace(
        Ending.complete(completion, characters_per_token=None),
        priced=model_in_service(claimed.models, model, on=at.date()),
    )
    assert store_end(claimed.reply, content="Indeed.", ending=ending)
    return UsageRecord.objects.get(reply_id=reply.pk)


@transactional
def test_reply_has_the_latest_price_and_old_entries_stay(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    model = set_price(settings.GEMINI_MODEL, input=10**6, cached=10**6, output=10**6)
    model.prices.create(from_day=day(1), input=9 * 10**6, cached=9 * 10**6, output=9 * 10**6)
    run(post(make_room(alice)))
    [before] = UsageRecord.objects.all()

    model.prices.create(from_day=day(0), input=2 * 10**6, cached=2 * 10**6, output=2 * 10**6)
    run(post(make_room(alice)))

    tokens = before.prompt_tokens + before.output_tokens + before.thinking_tokens
    first, second = UsageRecord.objects.order_by("created_at")
    assert (first.pk, first.cost_micro_usd) == (before.pk, tokens)
    assert second.cost_micro_usd == 2 * tokens


@transactional
def test_lost_attempt_has_the_price_of_the_day_of_its_start(alice: User, settings: Any) -> None:
    model = set_price(settings.GEMINI_MODEL, input=10**6, cached=10**6, output=10**6)
    model.prices.create(from_day=day(0), input=2 * 10**6, cached=2 * 10**6, output=2 * 10**6)
    reply = post(make_room(alice))
    claim_reply(reply_id=reply.pk, now=timezone.now() - timedelta(days=1))

    assert requeue_expired(now=timezone.now()) == [reply.pk]

    record = UsageRecord.objects.get()
    assert record.cost_micro_usd == record.prompt_tokens > 0


@transactional
def test_model_without_a_price_costs_nothing(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    set_price(settings.GEMINI_MODEL, input=1, cached=1, output=1, from_day=day(1))
    gemini.script(Answer(usage_counts=USED, searches=["rain"]))

    reply = run(post(make_room(alice)))

    assert reply.status == Message.Status.COMPLETE
    record = UsageRecord.objects.get()
    assert (record.cost_micro_usd, record.search_cost_micro_usd) == (0, 0)
    assert (record.tool_prompt_tokens, record.search_queries, record.audio_tokens) == (4000, 1, 300)


def test_audio_of_a_seeded_model_has_its_own_price(db: None) -> None:
    model = GeminiModel.objects.get(name="gemini-3.1-flash-lite")
    million = 10**6

    price = model.price_on(date(2026, 12, 1))

    assert price is not None
    assert price.cost_micro_usd(**figures_of(prompt_tokens=million)) == 250_000
    audio = figures_of(prompt_tokens=million, audio_tokens=million)
    assert price.cost_micro_usd(**audio) == 500_000
    assert (model.tier, model.is_listed, model.fallback_id) == (
        "basic",
        False,
        "gemini-3.5-flash-lite",
    )


def test_every_model_of_the_table_has_a_price(db: None) -> None:
    models = GeminiModel.objects.prefetch_related("prices")

    unpriced = [model.name for model in models if model.price_on(date(2026, 1, 1)) is None]

    assert unpriced == []


@pytest.mark.parametrize(
    ("figures", "audio_input", "cost"),
    [
        ({}, None, 0),
        ({"prompt_tokens": 1}, None, 1),
        ({"prompt_tokens": 1, "search_queries": 1}, None, 14_001),
        ({"search_queries": 3}, None, 42_000),
        ({"tool_prompt_tokens": 2_000_001}, None, 500_001),
        ({"prompt_tokens": 2_000_000, "audio_tokens": 1_000_000}, 500_000, 750_000),
        ({"prompt_tokens": 2_000_000, "audio_tokens": 1_000_000}, None, 500_000),
        ({"prompt_tokens": 2_000_000, "audio_tokens": 1_000_000}, 0, 250_000),
        (
            {"prompt_tokens": 2_000_000, "cached_tokens": 600_000, "audio_tokens": 400_000},
            500_000,
            250_000 + 15_000 + 200_000,
        ),
        # 400,000 tokens are cached audio.
        (
            {"prompt_tokens": 2_000_000, "cached_tokens": 1_000_000, "audio_tokens": 1_400_000},
            500_000,
            25_000 + 500_000,
        ),
        (
            {"prompt_tokens": 2_000_000, "cached_tokens": 2_000_000, "audio_tokens": 2_000_000},
            500_000,
            50_000,
        ),
    ],
)
def test_cost_is_exact_and_rounded_up_once(
    figures: dict[str, int], audio_input: int | None, cost: int
) -> None:
    price = ModelPrice(input=250_000, cached=25_000, output=1_500_000, audio_input=audio_input)

    assert price.cost_micro_usd(**figures_of(**figures)) == cost


def figures_of(**figures: int) -> dict[str, int]:
    names = ("prompt_tokens", "cached_tokens", "output_tokens", "thinking_tokens")
    return {**dict.fromkeys(names, 0), **figures}


@transactional
@pytest.mark.parametrize(("audio_input", "audio"), [(None, 300), (2 * 10**6, 600), (0, 0)])
def test_reply_costs_tools_queries_and_audio(
    audio_input: int | None, audio: int, alice: User, gemini: FakeGemini, settings: Any
) -> None:
    set_price(settings.GEMINI_MODEL, **PRICE, audio_input=audio_input)
    gemini.script(Answer(usage_counts=USED, searches=["rain", "snow"]))

    reply = run(post(make_room(alice)))

    record = UsageRecord.objects.get()
    counted = (record.tool_prompt_tokens, record.search_queries, record.audio_tokens)
    assert counted == (4000, 2, 300)
    assert record.cost_micro_usd == 500 + 20 + audio + 4000 + 7 * 33 + 28_000
    assert (record.search_cost_micro_usd, record.estimated) == (28_000, False)
    assert DailyQuota.objects.get().cost_micro_usd == record.cost_micro_usd
    assert reply.prompt_tokens == 1000


@transactional
def test_continued_reply_is_whole_and_costs_both_requests(
    carol: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_CONTINUE = True
    set_price("gemini-4-argon", **PRICE, audio_input=0)
    cut = {"finish_reason": "CONTINUATION", "continuation_token": "dG9rZW4="}
    gemini.script(
        Answer(chunks=["One "], usage_counts=USED, **cut),
        Answer(chunks=["two."], usage_counts=USED),
    )
    room = make_room(carol)
    accepted = actions.post_message(
        user=carol, chatroom_id=room.pk, prompt="Hello", wanted=ModelChoice(model="gemini-4-argon")
    )

    reply = run(accepted.reply)

    assert (reply.status, reply.content, reply.finish_reason) == ("complete", "One two.", "stop")
    assert reply.prompt_tokens == 2000
    record = UsageRecord.objects.get()
    assert record.cost_micro_usd == 2 * (500 + 20 + 4000 + 7 * 33)
    room.refresh_from_db()
    assert room.characters_per_token == Chatroom().characters_per_token


@transactional
def test_title_and_failed_reply_cost_tools_queries_and_audio(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    room = make_room(alice)
    run(post(room))
    set_price(settings.GEMINI_MODEL, **PRICE, audio_input=0)
    used = {"usage_counts": USED, "searches": ["rain"]}
    gemini.script(Answer(chunks=["Rain"], **used), Answer(finish_reason="SAFETY", **used))

    title_room(chatroom_id=room.pk)
    run(post(room))

    ledger = UsageRecord.objects.exclude(purpose="reply", outcome="complete")
    assert {(row.purpose, row.outcome) for row in ledger} == {
        ("title", "complete"),
        ("reply", "failed"),
    }
    assert {row.cost_micro_usd for row in ledger} == {500 + 20 + 4000 + 7 * 33 + 14_000}


@transactional
def test_title_has_the_price_of_the_day_of_its_request(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    model = set_price(settings.GEMINI_MODEL, input=10**6, cached=10**6, output=10**6)
    room = make_room(alice)
    reply = run(post(room))
    yesterday = timezone.now() - timedelta(days=1)
    Message.objects.filter(pk=reply.pk).update(started_at=yesterday)
    model.prices.create(from_day=day(0), input=2 * 10**6, cached=2 * 10**6, output=2 * 10**6)

    title_room(chatroom_id=room.pk)

    title = UsageRecord.objects.get(purpose="title")
    tokens = title.prompt_tokens + title.output_tokens + title.thinking_tokens
    assert title.cost_micro_usd == 2 * tokens
    assert title.started_at is not None
    assert title.started_at.date() == day(0)

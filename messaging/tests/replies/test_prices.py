"""Prices by day: each attempt costs the price of the day of the attempt's start."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import UsageRecord
from messaging.models import GeminiModel, Message
from messaging.models.gemini_models import model_in_service
from messaging.replies.claims import claim_reply
from messaging.replies.requeue import requeue_expired
from tests.support.fakes.gemini import FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.prices import set_price
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import post, run

TOKENS = {"prompt_tokens": 1001, "cached_tokens": 1, "output_tokens": 90, "thinking_tokens": 10}


def day(days: int) -> date:
    return timezone.now().date() + timedelta(days=days)


@pytest.mark.parametrize(
    ("model", "at", "cost"),
    [
        ("gemini-4-argon", datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), 3001),
        ("gemini-4-argon", datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC), 6001),
        ("gemini-3.8-flash", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), 1126),
        ("gemini-3.8-flash", datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC), 2251),
    ],
)
def test_announced_price_counts_from_its_day(
    model: str, at: datetime, cost: int, alice: User
) -> None:
    reply = post(make_room(alice))

    claimed = claim_reply(reply_id=reply.pk, now=at)

    assert claimed is not None
    priced = model_in_service(claimed.models, model, on=at.date())
    assert priced is not None
    assert priced.cost_micro_usd(**TOKENS) == cost


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

    reply = run(post(make_room(alice)))

    assert reply.status == Message.Status.COMPLETE
    assert UsageRecord.objects.get().cost_micro_usd == 0


def test_every_model_of_the_table_has_a_price(db: None) -> None:
    models = GeminiModel.objects.prefetch_related("prices")

    unpriced = [model.name for model in models if model.price_on(date(2026, 1, 1)) is None]

    assert unpriced == []

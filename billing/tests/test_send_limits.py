"""Sends per minute, and what bounds a day besides the number of replies."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.auth.rate_limits import RateLimited
from accounts.models import User
from billing.models import DailyQuota, ErasedQuota
from billing.plans import NO_CEILING, plan_for_user
from billing.quota import CostLimitReached, QuotaExceeded, TextLimitReached
from billing.tests.plans import with_plan
from tests.support.marks import transactional
from tests.support.waiting import at_once


def let_pass(seconds: int) -> None:
    DailyQuota.objects.update(minute_started_at=F("minute_started_at") - timedelta(seconds=seconds))


def test_sends_of_a_minute_have_a_limit(alice, settings):
    with_plan(settings, "basic", sends_per_minute=2, daily_limit=5)
    for _ in range(2):
        DailyQuota.objects.reserve(user=alice)

    with pytest.raises(RateLimited) as refused:
        DailyQuota.objects.reserve(user=alice)

    assert refused.value.code == "rate_limited"
    assert 0 < refused.value.retry_after <= 60
    assert DailyQuota.objects.usage(user=alice).used == 2
    let_pass(61)
    assert DailyQuota.objects.reserve(user=alice).used == 3


@pytest.mark.django_db(transaction=True)
def test_sends_of_a_minute_are_exact_of_many_at_once(carol, settings):
    with_plan(settings, "pro", sends_per_minute=5)

    def reserve() -> bool:
        try:
            DailyQuota.objects.reserve(user=carol)
        except RateLimited:
            return False
        return True

    assert sum(at_once(20, reserve)) == 5


def test_slot_that_is_given_back_stays_a_send_of_the_minute(alice, settings):
    with_plan(settings, "basic", sends_per_minute=2)
    for _ in range(2):
        quota = DailyQuota.objects.reserve(user=alice)
        DailyQuota.objects.release(user_id=alice.pk, day=quota.day)

    with pytest.raises(RateLimited):
        DailyQuota.objects.reserve(user=alice)


@pytest.mark.parametrize(
    ("ceiling", "column", "error"),
    [
        ("daily_cost_usd", "cost_micro_usd", CostLimitReached),
        ("minute_cost_usd", "minute_cost_micro_usd", CostLimitReached),
    ],
)
def test_ceiling_of_zero_is_none(ceiling, column, error, alice, settings):
    DailyQuota.objects.reserve(user=alice)
    DailyQuota.objects.update(**{column: 10**12})

    with pytest.raises(error):
        DailyQuota.objects.reserve(user=alice)

    with_plan(settings, "basic", **{ceiling: 0})
    assert DailyQuota.objects.reserve(user=alice).used == 2


def test_ceiling_that_is_infinite_is_none(alice, settings):
    with_plan(settings, "basic", daily_cost_usd=float("inf"))

    assert plan_for_user(alice).daily_cost_micro_usd == NO_CEILING


def test_text_of_a_day_has_a_limit(alice, settings):
    with_plan(settings, "basic", daily_text_mb=1)
    DailyQuota.objects.reserve(user=alice, text_bytes=1_000_000)

    with pytest.raises(TextLimitReached) as refused:
        DailyQuota.objects.reserve(user=alice, text_bytes=1)

    assert 0 < refused.value.retry_after <= 24 * 3600


def test_change_of_tier_keeps_what_was_used(alice, settings):
    with_plan(settings, "pro", daily_limit=7)
    with_plan(settings, "basic", daily_limit=5)
    alice.tier = User.Tier.PRO
    for _ in range(6):
        DailyQuota.objects.reserve(user=alice)

    alice.tier = User.Tier.BASIC

    with pytest.raises(QuotaExceeded):
        DailyQuota.objects.reserve(user=alice)


def test_reset_ends_every_limit_of_the_day(alice, settings):
    with_plan(settings, "basic", sends_per_minute=1, daily_limit=1)
    DailyQuota.objects.reserve(user=alice)
    DailyQuota.objects.update(cost_micro_usd=10**12, unanswered=9, text_bytes=10**12)

    assert DailyQuota.objects.reset(user=alice) == 1

    assert DailyQuota.objects.reserve(user=alice).used == 1
    assert DailyQuota.objects.get(user=alice).unanswered == 0


def carried(user, **fields):
    today = timezone.now().date()
    DailyQuota.objects.create(user=user, **{"day": today, "used": 4, **fields})
    ErasedQuota.objects.carry(user=user)
    mobile = user.mobile
    user.delete()
    return User.objects.create_user(mobile, is_verified=True)


def test_quota_of_an_erased_account_goes_on(alice, settings):
    with_plan(settings, "basic", daily_limit=5)
    again = carried(alice, unanswered=2, cost_micro_usd=30, text_bytes=40)
    before = DailyQuota.objects.usage(user=again)

    quota = DailyQuota.objects.reserve(user=again, text_bytes=2)

    assert (before.used, quota.used) == (4, 5)
    row = DailyQuota.objects.get(user=again)
    assert (row.unanswered, row.cost_micro_usd, row.text_bytes) == (2, 30, 42)
    with pytest.raises(QuotaExceeded):
        DailyQuota.objects.reserve(user=again)


@pytest.mark.parametrize(
    ("spent", "error"),
    [
        ({"used": 5}, QuotaExceeded),
        ({"cost_micro_usd": 10**12}, CostLimitReached),
        ({"text_bytes": 10**12}, TextLimitReached),
    ],
)
def test_limit_that_an_erased_account_reached_refuses_the_first_send(spent, error, alice):
    again = carried(alice, **spent)

    with pytest.raises(error):
        DailyQuota.objects.reserve(user=again)

    assert not DailyQuota.objects.exists()


def test_quota_that_was_erased_yesterday_is_over(alice):
    again = carried(alice, day=timezone.now().date() - timedelta(days=1), used=5)

    assert DailyQuota.objects.usage(user=again).used == 0
    assert DailyQuota.objects.reserve(user=again).used == 1


def test_quota_of_one_number_is_no_other_numbers(alice, bob):
    carried(alice, used=5)

    assert DailyQuota.objects.reserve(user=bob).used == 1


def test_reset_ends_the_quota_of_an_erased_account_too(alice):
    again = carried(alice, used=5)

    DailyQuota.objects.reset(user=again)

    assert DailyQuota.objects.reserve(user=again).used == 1


@transactional
def test_first_sends_of_an_account_go_on_once_of_many_at_once(alice, settings):
    with_plan(settings, "basic", daily_limit=6)
    again = carried(alice)

    def reserve() -> bool:
        try:
            DailyQuota.objects.reserve(user=again)
        except QuotaExceeded:
            return False
        return True

    assert sum(at_once(8, reserve)) == 2

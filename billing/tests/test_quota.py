"""The quota of a day is exact, also for many requests at once."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.models import User
from billing.models import DailyQuota, UsageRecord
from billing.plans import plan_for_user
from billing.quota import QuotaExceeded
from billing.tests.plans import with_plan


def test_reserve_counts_up_to_the_limit(alice, settings):
    with_plan(settings, "basic", daily_limit=2)

    taken = [DailyQuota.objects.reserve(user=alice) for _ in range(2)]

    assert [(quota.used, quota.remaining) for quota in taken] == [(1, 1), (2, 0)]
    with pytest.raises(QuotaExceeded) as refused:
        DailyQuota.objects.reserve(user=alice)
    assert refused.value.extra["quota"]["used"] == 2
    assert 0 < refused.value.retry_after <= 24 * 3600


def test_reserve_with_a_limit_of_zero_takes_nothing(alice, settings):
    with_plan(settings, "basic", daily_limit=0)

    with pytest.raises(QuotaExceeded):
        DailyQuota.objects.reserve(user=alice)

    assert not DailyQuota.objects.exists()


def test_reserve_is_one_statement(alice, django_assert_num_queries):
    with django_assert_num_queries(1):
        DailyQuota.objects.reserve(user=alice)


def test_the_tier_check_adds_no_query(alice, django_assert_num_queries):
    with django_assert_num_queries(0):
        plan_for_user(alice)


def test_days_have_quotas_of_their_own(alice, settings):
    with_plan(settings, "basic", daily_limit=1)
    yesterday = timezone.now().date() - timedelta(days=1)
    DailyQuota.objects.create(user=alice, day=yesterday, used=1)

    quota = DailyQuota.objects.reserve(user=alice)

    assert quota.used == 1
    tomorrow = yesterday + timedelta(days=2)
    assert quota.resets_at == datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=UTC)


def test_users_have_quotas_of_their_own(alice, bob, settings):
    with_plan(settings, "basic", daily_limit=1)
    DailyQuota.objects.reserve(user=alice)

    assert DailyQuota.objects.reserve(user=bob).used == 1


def test_release_gives_one_place_back(alice, settings):
    with_plan(settings, "basic", daily_limit=1)
    quota = DailyQuota.objects.reserve(user=alice)

    DailyQuota.objects.release(user_id=alice.pk, day=quota.day)

    assert DailyQuota.objects.reserve(user=alice).used == 1


def test_release_never_goes_under_zero(alice):
    quota = DailyQuota.objects.reserve(user=alice)

    for _ in range(3):
        DailyQuota.objects.release(user_id=alice.pk, day=quota.day)

    assert DailyQuota.objects.usage(user=alice).used == 0


def test_tier_change_holds_at_the_next_reservation(alice, settings):
    with_plan(settings, "basic", daily_limit=1)
    DailyQuota.objects.reserve(user=alice)

    alice.tier = User.Tier.PRO

    assert DailyQuota.objects.reserve(user=alice).remaining == settings.PLANS["pro"].daily_limit - 2


def test_downgrade_leaves_nothing_and_not_less(alice, settings):
    DailyQuota.objects.create(user=alice, day=timezone.now().date(), used=100)

    quota = DailyQuota.objects.usage(user=alice)

    assert (quota.used, quota.remaining) == (100, 0)


@pytest.mark.django_db(transaction=True)
def test_exactly_the_limit_is_taken_of_many_at_once(alice, settings):
    with_plan(settings, "basic", daily_limit=5)

    def reserve(_):
        try:
            DailyQuota.objects.reserve(user=alice)
        except QuotaExceeded:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as threads:
        won = sum(threads.map(reserve, range(40)))

    assert won == 5
    assert DailyQuota.objects.get(user=alice).used == 5


def make_record(user, **fields):
    UsageRecord.objects.create(
        **{
            "user_id": user.pk,
            "reply_id": uuid.uuid4(),
            "attempt": 1,
            "model": "gemini",
            "outcome": "complete",
            "prompt_tokens": 10,
            "output_tokens": 20,
            "cached_tokens": 0,
            "thinking_tokens": 0,
            "cost_micro_usd": 300,
            "estimated": False,
            **fields,
        }
    )


def test_usage_record_of_an_attempt_is_kept_once(alice):
    reply_id = uuid.uuid4()

    make_record(alice, reply_id=reply_id)

    with pytest.raises(IntegrityError):
        make_record(alice, reply_id=reply_id)


def test_usage_is_told_by_day_with_totals(alice, alice_api, bob):
    reply_id = uuid.uuid4()
    make_record(alice, reply_id=reply_id, outcome="failed")
    make_record(alice, reply_id=reply_id, attempt=2)
    make_record(bob)
    make_record(alice)
    old = UsageRecord.objects.filter(user=alice).latest("id")
    UsageRecord.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))

    answer = alice_api.get("/api/v1/user/me/usage").json()

    assert [row["replies"] for row in answer["results"]] == [1, 1]
    assert date.fromisoformat(answer["results"][0]["day"]) == timezone.now().date()
    assert answer["results"][0]["prompt_tokens"] == 20
    assert answer["totals"] == {
        "replies": 2,
        "prompt_tokens": 30,
        "output_tokens": 60,
        "cost_micro_usd": 900,
    }


def test_usage_leaves_older_days_out(alice, alice_api):
    make_record(alice)
    UsageRecord.objects.update(created_at=timezone.now() - timedelta(days=1))

    assert alice_api.get("/api/v1/user/me/usage/?days=1").json()["results"] == []
    assert len(alice_api.get("/api/v1/user/me/usage/?days=2").json()["results"]) == 1


@pytest.mark.parametrize("days", ["0", "-1", "367", "x", "1\0", "9" * 5000])
def test_usage_refuses_a_bad_number_of_days(alice_api, days):
    answer = alice_api.get("/api/v1/user/me/usage", {"days": days})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "days"


def test_usage_needs_a_token(client, db):
    assert client.get("/api/v1/user/me/usage").status_code == 401


def test_usage_outlives_the_user(alice):
    make_record(alice)

    alice.delete()

    assert UsageRecord.objects.get().user_id is None

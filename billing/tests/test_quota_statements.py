"""The statements of the quota and the ledger do what the ORM does in several."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import User
from billing.models import DailyQuota, ErasedQuota, UsageRecord
from billing.statements import Settlement, record_usage, reserve_slot
from tests.twins import rolled_back

pytestmark = pytest.mark.django_db
TABLES = (DailyQuota, UsageRecord)


@pytest.mark.parametrize("used", [0, 1])
def test_reserved_slot_is_what_the_orm_stores(alice: User, used: int) -> None:
    now = timezone.now()
    for _ in range(used):
        reserve_slot(user=alice, now=now, text_bytes=5)

    taken, rows = rolled_back(lambda: reserve_slot(user=alice, now=now, text_bytes=7), *TABLES)

    def by_orm() -> None:
        quota, _ = DailyQuota.objects.get_or_create(
            user=alice, day=now.date(), defaults={"minute_started_at": now}
        )
        DailyQuota.objects.filter(pk=quota.pk).update(
            used=F("used") + 1, minute_sends=F("minute_sends") + 1, text_bytes=F("text_bytes") + 7
        )

    assert taken == used + 1
    assert rows == rolled_back(by_orm, *TABLES)[1]


def test_slot_beside_an_erased_account_goes_on_from_it(alice: User) -> None:
    now = timezone.now()
    DailyQuota.objects.create(
        user=alice, day=now.date(), used=1, unanswered=2, cost_micro_usd=3, text_bytes=4
    )
    ErasedQuota.objects.carry(user=alice)
    DailyQuota.objects.all().delete()

    taken = reserve_slot(user=alice, now=now, text_bytes=7)

    quota = DailyQuota.objects.get()
    carried = (quota.used, quota.unanswered, quota.cost_micro_usd, quota.text_bytes)
    assert taken == quota.used
    assert carried == (2, 2, 3, 11)


def settlement(user: User, **fields: Any) -> Settlement:
    now = timezone.now()
    record = UsageRecord(
        user=user,
        reply_id=uuid7(),
        attempt=1,
        model="gemini-x",
        outcome=UsageRecord.Outcome.STOPPED,
        first_token_ms=20,
        prompt_tokens=9,
        output_tokens=8,
        cached_tokens=1,
        thinking_tokens=2,
        cost_micro_usd=70,
        estimated=False,
        created_at=now,
    )
    return Settlement(record=record, day=now.date(), **fields)


@pytest.mark.parametrize("fields", [{}, {"gives_back": True}, {"is_unanswered": True}])
def test_settled_attempt_is_what_the_orm_stores(alice: User, fields: Any) -> None:
    reserve_slot(user=alice, now=timezone.now() - timedelta(seconds=1), text_bytes=7)
    attempt = settlement(alice, text_bytes=11, **fields)

    is_new, rows = rolled_back(lambda: record_usage(attempt), *TABLES)

    def by_orm() -> None:
        UsageRecord.objects.bulk_create([attempt.record])
        UsageRecord.objects.update(created_at=rows["UsageRecord"][0]["created_at"])
        DailyQuota.objects.update(
            used=0 if fields else 1,
            unanswered=int(attempt.is_unanswered),
            cost_micro_usd=70,
            minute_cost_micro_usd=70,
            text_bytes=18,
        )

    assert is_new
    assert rows == rolled_back(by_orm, *TABLES)[1]


def test_attempt_is_recorded_and_charged_once(alice: User) -> None:
    reserve_slot(user=alice, now=timezone.now(), text_bytes=7)
    attempt = settlement(alice)
    record_usage(attempt)

    is_new = record_usage(attempt)

    assert not is_new
    assert UsageRecord.objects.count() == 1
    assert DailyQuota.objects.get().cost_micro_usd == 70


def test_unanswered_replies_give_back_as_many_slots_as_a_day_has(alice: User) -> None:
    for _ in range(settings.GIVE_BACKS_PER_DAY + 1):
        DailyQuota.objects.update_or_create(user=alice, day=timezone.now().date(), defaults={})
        DailyQuota.objects.update(used=F("used") + 1)
        record_usage(settlement(alice, is_unanswered=True))

    quota = DailyQuota.objects.get()
    assert (quota.used, quota.unanswered) == (1, settings.GIVE_BACKS_PER_DAY + 1)

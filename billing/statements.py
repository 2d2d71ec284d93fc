"""SQL of the daily quota and the usage ledger, alone or inside a caller's statement.

A function with the suffix `_cte` returns a common table expression, and writes nothing unless
`source` has a row. Each function `..._params` returns the values, with a prefix in the names.
"""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings

from accounts.models import User
from accounts.models.audit import mobile_digest
from billing.plans import plan_for_user
from billing.quota import MINUTE
from gemchat.stores.statements import fetch, insert_into

if TYPE_CHECKING:
    from billing.models import UsageRecord

# A relation with one row.
ONE_ROW_SQL = "(SELECT 1) AS one_row"

# Takes a slot or finds a limit reached, however many ask at once. A limit of 0 must not insert the
# day's first row either. The first row of an account continues the row of an erased account with
# the same number. A minute starts with the first send after the previous minute has passed.
RESERVED_SQL = {
    "user_id": "%(quota_user)s",
    "day": "%(quota_day)s",
    "used": "coalesce(erased.used, 0) + 1",
    "unanswered": "coalesce(erased.unanswered, 0)",
    "cost_micro_usd": "coalesce(erased.cost_micro_usd, 0)",
    "text_bytes": "coalesce(erased.text_bytes, 0) + %(quota_text_bytes)s",
    "minute_started_at": "%(quota_now)s",
    "minute_sends": "1",
}
RESERVE_SQL = """
{insert}
FROM {source} LEFT JOIN billing_erasedquota AS erased
    ON erased.mobile_digest = %(quota_mobile_digest)s AND erased.day = %(quota_day)s
WHERE coalesce(erased.used, 0) < %(quota_limit)s
    AND coalesce(erased.cost_micro_usd, 0) < %(quota_daily_cost)s
    AND coalesce(erased.text_bytes, 0) < %(quota_daily_text)s
ON CONFLICT (user_id, day) DO UPDATE SET used = quota.used + 1,
    text_bytes = quota.text_bytes + %(quota_text_bytes)s,
    minute_started_at = CASE WHEN quota.minute_started_at > %(quota_minute_ago)s
        THEN quota.minute_started_at ELSE %(quota_now)s END,
    minute_sends = 1 + CASE WHEN quota.minute_started_at > %(quota_minute_ago)s
        THEN quota.minute_sends ELSE 0 END,
    minute_cost_micro_usd = CASE WHEN quota.minute_started_at > %(quota_minute_ago)s
        THEN quota.minute_cost_micro_usd ELSE 0 END
WHERE quota.used < %(quota_limit)s
    AND quota.cost_micro_usd < %(quota_daily_cost)s AND quota.text_bytes < %(quota_daily_text)s
    AND (coalesce(quota.minute_started_at <= %(quota_minute_ago)s, true)
        OR (quota.minute_sends < %(quota_sends)s
            AND quota.minute_cost_micro_usd < %(quota_minute_cost)s))
RETURNING used
"""
# An attempt and purpose are recorded once. A second writer adds no cost either.
RECORD_SQL = """
{insert}
FROM {source} ON CONFLICT (reply_id, attempt, purpose) DO NOTHING
RETURNING reply_id
"""
# Adds the cost of an attempt and the bytes of the text, and gives the slot back. The slot comes
# back always with `gives_back`, and with `is_unanswered` for the first few of a day. The update
# locks the row, so the count is exact at any number of parallel ends.
SETTLE_SQL = """
UPDATE billing_dailyquota AS quota SET
    used = greatest(0, used - CASE WHEN %(settle_gives_back)s THEN 1
        WHEN %(settle_is_unanswered)s AND unanswered < %(settle_give_backs)s THEN 1 ELSE 0 END),
    unanswered = unanswered + %(settle_is_unanswered)s::int,
    cost_micro_usd = quota.cost_micro_usd + %(usage_cost_micro_usd)s,
    text_bytes = text_bytes + %(settle_text_bytes)s,
    minute_started_at = CASE WHEN minute_started_at > %(settle_minute_ago)s
        THEN minute_started_at ELSE %(usage_created_at)s END,
    minute_sends = CASE WHEN minute_started_at > %(settle_minute_ago)s THEN minute_sends ELSE 0 END,
    minute_cost_micro_usd = %(usage_cost_micro_usd)s
        + CASE WHEN minute_started_at > %(settle_minute_ago)s THEN minute_cost_micro_usd ELSE 0 END
FROM {source} WHERE quota.user_id = %(usage_user_id)s AND quota.day = %(settle_day)s
RETURNING %(settle_gives_back)s
    OR (%(settle_is_unanswered)s AND unanswered <= %(settle_give_backs)s) AS is_given_back
"""


def reserve_cte(*, source: str) -> str:
    """Take one slot of a day's quota; return `used`, or no row at a limit."""
    quota = apps.get_model("billing", "DailyQuota")
    insert = insert_into(quota, RESERVED_SQL, alias="quota")
    return RESERVE_SQL.format(insert=insert, source=source)


def reserve_params(*, user: User, now: datetime, text_bytes: int) -> dict[str, Any]:
    plan = plan_for_user(user)
    return {
        "quota_user": user.pk,
        "quota_mobile_digest": mobile_digest(user.mobile),
        "quota_day": now.date(),
        "quota_now": now,
        "quota_minute_ago": now - MINUTE,
        "quota_limit": plan.daily_limit,
        "quota_sends": plan.sends_per_minute,
        "quota_daily_cost": plan.daily_cost_micro_usd,
        "quota_minute_cost": plan.minute_cost_micro_usd,
        "quota_daily_text": plan.daily_text_bytes,
        "quota_text_bytes": text_bytes,
    }


def reserve_slot(*, user: User, now: datetime, text_bytes: int) -> int | None:
    """Take one slot of the day's quota; return the used slots, None at a limit."""
    rows = fetch(
        reserve_cte(source=ONE_ROW_SQL), reserve_params(user=user, now=now, text_bytes=text_bytes)
    )
    return rows[0][0] if rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """An attempt to record, and the changes in the quota of the slot's day."""

    record: "UsageRecord"
    day: date
    text_bytes: int = 0
    gives_back: bool = False
    is_unanswered: bool = False


def usage_record_cte(*, source: str) -> str:
    """Record an attempt in the ledger; return `reply_id` of a new record."""
    return RECORD_SQL.format(insert=_insert_usage(), source=source)


def settle_cte(*, source: str) -> str:
    """Count an attempt in the quota of the day; return `is_given_back` for the slot."""
    return SETTLE_SQL.format(source=source)


def settlement_params(settlement: Settlement) -> dict[str, Any]:
    record = settlement.record
    return {
        **{f"usage_{name}": getattr(record, name) for name in _usage_columns()},
        "settle_minute_ago": record.created_at - MINUTE,
        "settle_day": settlement.day,
        "settle_text_bytes": settlement.text_bytes,
        "settle_gives_back": settlement.gives_back,
        "settle_is_unanswered": settlement.is_unanswered,
        "settle_give_backs": settings.GIVE_BACKS_PER_DAY,
    }


def record_usage(settlement: Settlement) -> bool:
    """Record an attempt and count the cost; False for an attempt already recorded."""
    return fetch(_record_alone_sql(), settlement_params(settlement)) == [(1,)]


@cache
def _record_alone_sql() -> str:
    return f"""
WITH recorded AS (
    {usage_record_cte(source=ONE_ROW_SQL)}
), settled AS (
    {settle_cte(source="recorded")}
)
SELECT count(*) FROM recorded
"""  # noqa: S608 the values are parameters


@cache
def _usage_columns() -> list[str]:
    fields = apps.get_model("billing", "UsageRecord")._meta.concrete_fields
    return [field.attname for field in fields if not field.primary_key]


def _insert_usage() -> str:
    model = apps.get_model("billing", "UsageRecord")
    return insert_into(model, {name: f"%(usage_{name})s" for name in _usage_columns()})

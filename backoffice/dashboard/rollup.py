"""Counts the days that `DailyMetrics` keeps."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Aggregate, Count, FloatField, QuerySet, Sum
from django.utils import timezone

from accounts.models import User
from backoffice.models import DailyMetrics, day_start
from billing.models import ENDED, UsageRecord
from billing.stripe.revenue import monthly_revenue
from gemchat.stores.uuid7 import uuid7_at
from messaging.models import Message
from messaging.replies.metrics import queue_lengths

QUEUE = "gemini"
# Known of the moment only; a day that is over keeps what it had last.
OF_THE_MOMENT = ("pro_users", "revenue")


def update_daily_metrics(*, now: datetime) -> list[date]:
    """Count the days that are due; which they were."""
    stale_days = DailyMetrics.objects.stale_days(now=now)
    for day in stale_days:
        is_today = day == now.date()
        figures = compute_metrics(day, now=now)
        if is_today:
            figures.pro_users = User.objects.filter(tier=User.Tier.PRO).count()
            figures.revenue = monthly_revenue()
        figures.store(keep=() if is_today else OF_THE_MOMENT)
    return stale_days


def compute_metrics(day: date, *, now: datetime) -> DailyMetrics:
    start, end = day_start(day), day_start(day + timedelta(days=1))
    # Ids sort by time, and the primary key serves.
    ids = {"pk__gte": uuid7_at(start), "pk__lt": uuid7_at(end)}
    recorded = UsageRecord.objects.filter(created_at__gte=start, created_at__lt=end)
    ended = recorded.filter(ENDED)
    first_token, reply = percentiles(ended.filter(outcome=UsageRecord.Outcome.COMPLETE))
    return DailyMetrics(
        day=day,
        new_users=User.objects.filter(**ids).count(),
        active_users=ended.aggregate(users=Count("user", distinct=True))["users"],
        sends=Message.objects.filter(sender=Message.Sender.USER, **ids).count(),
        outcomes=counted(ended, "outcome"),
        errors=counted(ended.exclude(error_code=""), "error_code"),
        by_model=by_model(recorded),
        first_token_p50=first_token[0],
        first_token_p95=first_token[1],
        reply_p50=reply[0],
        reply_p95=reply[1],
        computed_at=now,
    )


class Percentiles(Aggregate):
    """The median and the 95th percentile of a column, or None without rows."""

    template = "percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = ArrayField(FloatField())


def percentiles(records: QuerySet[UsageRecord]) -> list[list[int | None]]:
    """Return the percentiles of the first token and of the whole reply, in milliseconds."""
    columns = records.aggregate(
        first_token=Percentiles("first_token_ms"), reply=Percentiles("reply_ms")
    )
    return [
        [None if value is None else round(value) for value in values or (None, None)]
        for values in (columns["first_token"], columns["reply"])
    ]


def counted(records: Any, column: str) -> dict[str, int]:
    return dict(records.values_list(column).annotate(Count("pk")).order_by(column))


def by_model(records: Any) -> dict[str, dict[str, int]]:
    """Replies that ended, and the tokens and cost of all that Gemini was asked for."""
    sums = {name: Sum(name) for name in ("prompt_tokens", "output_tokens", "cost_micro_usd")}
    replies = Count("pk", filter=ENDED)
    rows = records.values("model").annotate(replies=replies, **sums).order_by("model")
    return {row.pop("model"): row for row in rows}


@dataclass(frozen=True, slots=True)
class Waiting:
    """How things stand at this moment. `queued` is None where the broker does not answer."""

    queued: int | None
    oldest_seconds: float | None


def waiting() -> Waiting:
    lengths = queue_lengths()
    return Waiting(lengths[QUEUE] if lengths else None, oldest_seconds())


def oldest_seconds() -> float | None:
    """How long somebody has been waiting for a worker to begin; not for what staff sent again."""
    oldest = (
        Message.objects.filter(status=Message.Status.QUEUED, attempts_forgiven=0)
        .order_by("id")
        .values_list("created_at", flat=True)
        .first()
    )
    return (timezone.now() - oldest).total_seconds() if oldest else None

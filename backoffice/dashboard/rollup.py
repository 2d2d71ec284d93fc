"""The rollup: computes a row of `DailyMetrics` for each stale day."""

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
# Figures of each model: DailyMetrics.by_model.
SUMMED = (
    "prompt_tokens",
    "output_tokens",
    "tool_prompt_tokens",
    "audio_tokens",
    "search_queries",
    "cost_micro_usd",
    "search_cost_micro_usd",
)
# Known only at the moment; a past day retains the last values.
CURRENT_COLUMNS = ("pro_users", "revenue")


def update_daily_metrics(*, now: datetime) -> list[date]:
    """Compute the metrics of each stale day, and return the stale days."""
    stale_days = DailyMetrics.objects.stale_days(now=now)
    for day in stale_days:
        is_today = day == now.date()
        figures = compute_metrics(day, now=now)
        if is_today:
            figures.pro_users = User.objects.filter(tier=User.Tier.PRO).count()
            figures.revenue = monthly_revenue()
        figures.store(keep=() if is_today else CURRENT_COLUMNS)
    return stale_days


def compute_metrics(day: date, *, now: datetime) -> DailyMetrics:
    start, end = day_start(day), day_start(day + timedelta(days=1))
    # Ids sort by time, so the index of the primary key serves.
    ids = {"pk__gte": uuid7_at(start), "pk__lt": uuid7_at(end)}
    recorded = UsageRecord.objects.filter(created_at__gte=start, created_at__lt=end)
    ended = recorded.filter(ENDED)
    first_token, reply = percentiles(ended.filter(outcome=UsageRecord.Outcome.COMPLETE))
    return DailyMetrics(
        day=day,
        new_users=User.objects.filter(**ids).count(),
        active_users=ended.aggregate(users=Count("user", distinct=True))["users"],
        sends=Message.objects.filter(sender=Message.Sender.USER, **ids).count(),
        outcomes=count_by(ended, "outcome"),
        errors=count_by(ended.exclude(error_code=""), "error_code"),
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


def count_by(records: Any, column: str) -> dict[str, int]:
    return dict(records.values_list(column).annotate(Count("pk")).order_by(column))


def by_model(records: Any) -> dict[str, dict[str, int]]:
    """Return ended replies, and tokens, queries and cost of all calls of Gemini, by model."""
    sums = {name: Sum(name) for name in SUMMED}
    replies = Count("pk", filter=ENDED)
    rows = records.values("model").annotate(replies=replies, **sums).order_by("model")
    return {row.pop("model"): row for row in rows}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Count the waiting replies. `queued` is None when the broker does not answer."""

    queued: int | None
    oldest_seconds: float | None


def waiting() -> Waiting:
    lengths = queue_lengths()
    return Waiting(lengths[QUEUE] if lengths else None, oldest_seconds())


def oldest_seconds() -> float | None:
    """Return the wait of the oldest queued reply, without replies retried by staff."""
    oldest = (
        Message.objects.filter(status=Message.Status.QUEUED, attempts_reset=0)
        .order_by("id")
        .values_list("created_at", flat=True)
        .first()
    )
    return (timezone.now() - oldest).total_seconds() if oldest else None

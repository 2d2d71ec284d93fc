"""Daily metrics: one row per day, so that the dashboard counts nothing.

Beat starts the rollup. A day is computed again until an hour after the day's end. After a pause
beat computes the missing days.
"""

from datetime import UTC, date, datetime, time, timedelta

from django.db import models

# Replies that were active at midnight have ended by then.
CLOSES_AFTER = timedelta(hours=1)
DAYS = 31


class DailyMetricsQuerySet(models.QuerySet["DailyMetrics"]):
    def stale_days(self, *, now: datetime) -> list[date]:
        """Return the unfinished days of the past month, oldest first."""
        today = now.date()
        days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
        counted = dict(self.filter(day__gte=days[0]).values_list("day", "computed_at"))
        return [day for day in days if day not in counted or counted[day] < day_closing(day)]


class DailyMetrics(models.Model):
    """One day (UTC). Values of a moment are null for days computed later."""

    day = models.DateField(primary_key=True)
    new_users = models.PositiveIntegerField()
    # Users with an ended reply.
    active_users = models.PositiveIntegerField()
    sends = models.PositiveIntegerField()
    # Ended attempts by outcome, failed ones by error code.
    outcomes = models.JSONField()
    errors = models.JSONField()
    # By model: replies, and the sums of the ledger that the rollup names.
    by_model = models.JSONField()
    # Milliseconds from sending, of the replies with the outcome complete.
    first_token_p50 = models.PositiveIntegerField(null=True)
    first_token_p95 = models.PositiveIntegerField(null=True)
    reply_p50 = models.PositiveIntegerField(null=True)
    reply_p95 = models.PositiveIntegerField(null=True)
    pro_users = models.PositiveIntegerField(null=True)
    # A month's revenue by currency, in the currency's smallest unit.
    revenue = models.JSONField(null=True)
    computed_at = models.DateTimeField()

    objects = DailyMetricsQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "daily metrics"

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"

    def store(self, *, keep: tuple[str, ...] = ()) -> None:
        """Insert the day's row, or update it except for the columns of `keep`."""
        columns = [field.attname for field in self._meta.fields if field.name != "day"]
        DailyMetrics.objects.bulk_create(
            [self],
            update_conflicts=True,
            unique_fields=["day"],
            update_fields=[name for name in columns if name not in keep],
        )

    @property
    def tokens(self) -> int:
        models = self.by_model.values()
        return sum(totals["prompt_tokens"] + totals["output_tokens"] for totals in models)

    def total(self, figure: str) -> int:
        """Sum a figure over all models; a day of an older version lacks some figures."""
        return sum(totals.get(figure, 0) for totals in self.by_model.values())


def day_start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def day_closing(day: date) -> datetime:
    return day_start(day) + timedelta(days=1) + CLOSES_AFTER


class BackofficeAction(models.TextChoices):
    """Actions of staff in the back office itself, as named in the audit log."""

    ROLES_SYNCED = "roles_synced"
    ROW_ADDED = "row_added"
    ROW_CHANGED = "row_changed"
    ROW_DELETED = "row_deleted"
    ROWS_EXPORTED = "rows_exported"
    CONTENT_READ = "content_read"

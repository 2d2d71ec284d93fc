"""What billing keeps of its own: quotas, the ledger of usage, grants, and flags for staff.

What Stripe knows is mirrored in dj-stripe's tables.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from billing.plans import plan_for
from billing.quota import Quota, QuotaExceeded

# One statement takes a place or finds that none is left, however many ask at once. A limit of 0
# must not insert the day's first row either. `source` may name what must be there besides.
RESERVE = """
INSERT INTO billing_dailyquota AS quota (user_id, day, used)
SELECT %(user)s, %(day)s, 1 {source} WHERE %(limit)s > 0
ON CONFLICT (user_id, day) DO UPDATE SET used = quota.used + 1 WHERE quota.used < %(limit)s
RETURNING used
"""
# Gives a place of a day back, never under 0; of no day where that is NULL.
RELEASE = """
UPDATE billing_dailyquota SET used = used - 1 {source}
WHERE user_id = %(user)s AND day = %(day)s AND used > 0
"""


class DailyQuotaQuerySet(models.QuerySet["DailyQuota"]):
    def reserve(self, *, user: User) -> Quota:
        """Take one place of today's quota, in the caller's transaction; raises QuotaExceeded."""
        limit, today = plan_for(user).daily_limit, timezone.now().date()
        with connection.cursor() as cursor:
            cursor.execute(
                RESERVE.format(source=""), {"user": user.pk, "day": today, "limit": limit}
            )
            row = cursor.fetchone()
        if row is None:
            raise QuotaExceeded(self.usage(user=user))
        return Quota(limit=limit, used=row[0], day=today)

    def release(self, *, user_id: uuid.UUID, day: date) -> None:
        """Give one place of that day back; never under 0."""
        with connection.cursor() as cursor:
            cursor.execute(RELEASE.format(source=""), {"user": user_id, "day": day})

    def usage(self, *, user: User) -> Quota:
        """Today's quota as it stands."""
        today = timezone.now().date()
        used = self.filter(user=user, day=today).values_list("used", flat=True).first()
        return Quota(limit=plan_for(user).daily_limit, used=used or 0, day=today)

    def reset(self, *, user: User) -> int:
        """Give all of today's places back; returns how many were in use."""
        used = self.usage(user=user).used
        self.filter(user=user, day=timezone.now().date()).update(used=0)
        return used


class DailyQuota(models.Model):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    day = models.DateField(help_text="UTC.")
    used = models.PositiveIntegerField()

    objects = DailyQuotaQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "daily quotas"
        constraints = [
            # Its index serves every query here: they all name the user and the day.
            models.UniqueConstraint(name="one_quota_a_user_and_day", fields=["user", "day"]),
            models.CheckConstraint(name="quota_used_is_not_negative", condition=Q(used__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.used} on {self.day}"


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    def detach(self, *, user_id: uuid.UUID, limit: int) -> int:
        """Take the person off some of the user's rows, which stay; how many there were."""
        some = self.filter(user_id=user_id).values("pk")[:limit]
        return self.filter(pk__in=some).update(user=None)

    def daily(self, *, user_id: uuid.UUID, days: int = 30) -> Sequence[Mapping[str, Any]]:
        """A row for each of the last `days` days (UTC, with today) that has usage, newest first.

        `replies` counts replies, each once however many attempts it took.
        """
        first = timezone.now().date() - timedelta(days=days - 1)
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return list(
            self.filter(user_id=user_id, created_at__gte=start)
            .annotate(day=TruncDate("created_at", tzinfo=UTC))
            .values("day")
            .annotate(
                replies=Count("reply_id", distinct=True),
                prompt_tokens=Sum("prompt_tokens"),
                output_tokens=Sum("output_tokens"),
                cost_micro_usd=Sum("cost_micro_usd"),
            )
            .order_by("-day")
        )


class UsageRecord(models.Model):
    """One finished attempt at a reply. It outlives the chat, and the person without naming them."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    reply_id = models.UUIDField()
    attempt = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16)
    error_code = models.CharField(max_length=32, blank=True)
    provider_code = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(null=True)
    # What the person waited from sending; null where nobody did, as staff had the reply made again.
    first_token_ms = models.PositiveIntegerField(null=True)
    reply_ms = models.PositiveIntegerField(null=True)
    prompt_tokens = models.PositiveIntegerField()
    output_tokens = models.PositiveIntegerField()
    cached_tokens = models.PositiveIntegerField()
    thinking_tokens = models.PositiveIntegerField()
    cost_micro_usd = models.PositiveBigIntegerField(help_text="Millionths of a US dollar.")
    estimated = models.BooleanField(help_text="Tokens were counted here, not by Gemini.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UsageRecordQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_usage_record_an_attempt", fields=["reply_id", "attempt"]
            ),
        ]
        indexes = [
            # A user's usage of the last days.
            models.Index(name="usage_by_user", fields=["user", "created_at"]),
            # Staff's totals over all users.
            models.Index(name="usage_by_time", fields=["created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.reply_id} #{self.attempt}"


class ErasedCustomer(models.Model):
    """A customer of Stripe's whose user was erased. The id itself would name the person."""

    # SHA-256 of the id.
    digest = models.BinaryField(primary_key=True, max_length=32)

    def __str__(self) -> str:
        return bytes(self.digest).hex()


class GrantQuerySet(models.QuerySet["Grant"]):
    def current(self) -> "GrantQuerySet":
        return self.filter(until__gt=timezone.now())


class Grant(models.Model):
    """Pro given by staff, without Stripe, up to a moment. Taking it back moves that moment."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="grants", db_index=False
    )
    until = models.DateTimeField()
    reason = models.CharField(max_length=200)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="grant_has_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="grant_ends_after_it_begins", condition=Q(until__gt=F("created_at"))
            ),
        ]
        indexes = [
            # The user's current grants, when the tier is derived.
            models.Index(name="grant_by_user", fields=["user", "until"]),
            # Grants that have just run out.
            models.Index(name="grant_by_end", fields=["until"]),
        ]

    def __str__(self) -> str:
        return f"until {self.until:%Y-%m-%d}"


class FlagQuerySet(models.QuerySet["Flag"]):
    def raise_once(self, *, kind: str, stripe_id: str, user: User | None, note: str) -> None:
        """Show staff what they have to judge; the same thing at Stripe is shown once."""
        row = self.model(kind=kind, stripe_id=stripe_id, user=user, note=note)
        self.bulk_create([row], ignore_conflicts=True)


class Flag(models.Model):
    """Something at Stripe that a person has to look at; it changes no tier by itself."""

    class Kind(models.TextChoices):
        REFUND = "refund"
        DISPUTE = "dispute"
        SECOND_SUBSCRIPTION = "second_subscription"

    kind = models.CharField(max_length=24, choices=Kind)
    stripe_id = models.CharField(max_length=255)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    note = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = FlagQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_flag_a_thing", fields=["kind", "stripe_id"]),
        ]
        indexes = [
            # What staff have to settle.
            models.Index("id", name="flag_open", condition=Q(resolved_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.stripe_id}"


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The sums of `UsageRecord.objects.daily()`'s rows."""
    names = ("replies", "prompt_tokens", "output_tokens", "cost_micro_usd")
    return {name: sum(row[name] for row in rows) for name in names}

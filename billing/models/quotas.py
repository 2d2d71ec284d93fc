"""What billing keeps of its own: quotas, the ledger of usage, grants, and flags for staff.

What Stripe knows is mirrored in dj-stripe's tables.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from accounts.models.audit import mobile_digest
from billing.plans import plan_for
from billing.quota import (
    MINUTE,
    CostLimitReached,
    Quota,
    QuotaExceeded,
    SendsLimited,
    TextLimitReached,
    seconds_until,
)
from gemchat.api.errors import DomainError

# One statement takes a slot or finds a limit reached, however many ask at once. A limit of 0 must
# not insert the day's first row either. That row goes on from what an erased account of the same
# number had used. `source` names a relation that must have a row. The minute starts with the first
# send after the one before has passed.
RESERVE = """
INSERT INTO billing_dailyquota AS quota (user_id, day, used, unanswered, cost_micro_usd, text_bytes,
    minute_started_at, minute_sends, minute_cost_micro_usd)
SELECT %(user)s, %(day)s, coalesce(erased.used, 0) + 1, coalesce(erased.unanswered, 0),
    coalesce(erased.cost_micro_usd, 0), coalesce(erased.text_bytes, 0) + %(text_bytes)s,
    %(now)s, 1, 0
FROM {source} LEFT JOIN billing_erasedquota AS erased
    ON erased.mobile_digest = %(mobile_digest)s AND erased.day = %(day)s
WHERE coalesce(erased.used, 0) < %(limit)s
    AND coalesce(erased.cost_micro_usd, 0) < %(daily_cost)s
    AND coalesce(erased.text_bytes, 0) < %(daily_text)s
ON CONFLICT (user_id, day) DO UPDATE SET used = quota.used + 1,
    text_bytes = quota.text_bytes + %(text_bytes)s,
    minute_started_at = CASE WHEN quota.minute_started_at > %(minute_ago)s
        THEN quota.minute_started_at ELSE %(now)s END,
    minute_sends = 1 + CASE WHEN quota.minute_started_at > %(minute_ago)s
        THEN quota.minute_sends ELSE 0 END,
    minute_cost_micro_usd = CASE WHEN quota.minute_started_at > %(minute_ago)s
        THEN quota.minute_cost_micro_usd ELSE 0 END
WHERE quota.used < %(limit)s
    AND quota.cost_micro_usd < %(daily_cost)s AND quota.text_bytes < %(daily_text)s
    AND (coalesce(quota.minute_started_at <= %(minute_ago)s, true)
        OR (quota.minute_sends < %(sends)s AND quota.minute_cost_micro_usd < %(minute_cost)s))
RETURNING used
"""
# Gives a slot of a day back, never under 0; of no day where that is NULL.
RELEASE = """
UPDATE billing_dailyquota SET used = used - 1
WHERE user_id = %(user)s AND day = %(day)s AND used > 0
"""


def reserve_values(*, user: User, now: datetime, text_bytes: int) -> dict[str, Any]:
    """The parameters of RESERVE."""
    plan = plan_for(user)
    return {
        "user": user.pk,
        "mobile_digest": mobile_digest(user.mobile),
        "day": now.date(),
        "now": now,
        "minute_ago": now - MINUTE,
        "limit": plan.daily_limit,
        "sends": plan.sends_per_minute,
        "daily_cost": plan.daily_cost_micro_usd,
        "minute_cost": plan.minute_cost_micro_usd,
        "daily_text": plan.daily_text_bytes,
        "text_bytes": text_bytes,
    }


class DailyQuotaQuerySet(models.QuerySet["DailyQuota"]):
    def reserve(self, *, user: User, text_bytes: int = 0) -> Quota:
        """Take one slot of today's quota, in the caller's transaction.

        Raises what `refusal` gives.
        """
        values = reserve_values(user=user, now=timezone.now(), text_bytes=text_bytes)
        with connection.cursor() as cursor:
            cursor.execute(RESERVE.format(source="(SELECT 1) AS always"), values)
            row = cursor.fetchone()
        if row is None:
            raise self.refusal(user=user)
        return Quota(limit=values["limit"], used=row[0], day=values["day"])

    def refusal(self, *, user: User) -> DomainError:
        """The limit that keeps a user from sending now."""
        plan, today, now = plan_for(user), self.of_today(user=user), timezone.now()
        quota = Quota(limit=plan.daily_limit, used=today.used, day=today.day)
        if today.used >= plan.daily_limit:
            return QuotaExceeded(quota)
        reset = seconds_until(quota.resets_at)
        if today.cost_micro_usd >= plan.daily_cost_micro_usd:
            return CostLimitReached(retry_after=reset, headers=quota.as_headers())
        if today.text_bytes >= plan.daily_text_bytes:
            return TextLimitReached(retry_after=reset, headers=quota.as_headers())
        wait = seconds_until((today.minute_started_at or now) + MINUTE)
        if today.minute_cost_micro_usd >= plan.minute_cost_micro_usd:
            return CostLimitReached(retry_after=wait, headers=quota.as_headers())
        return SendsLimited(retry_after=wait, headers=quota.as_headers())

    def release(self, *, user_id: uuid.UUID, day: date) -> None:
        """Give one slot of that day back; never under 0."""
        with connection.cursor() as cursor:
            cursor.execute(RELEASE, {"user": user_id, "day": day})

    def of_today(self, *, user: User) -> "DailyQuota":
        """The user's row of today; before the first send an unsaved one."""
        today = timezone.now().date()
        if own := self.filter(user=user, day=today).first():
            return own
        erased = ErasedQuota.objects.of(user).filter(day=today).values(*CARRIED).first()
        return DailyQuota(user=user, day=today, **(erased or {}))

    def usage(self, *, user: User) -> Quota:
        """Today's quota as it stands."""
        today = self.of_today(user=user)
        return Quota(limit=plan_for(user).daily_limit, used=today.used, day=today.day)

    def reset(self, *, user: User) -> int:
        """End every limit of today that a user has reached; returns how many slots were in use."""
        with transaction.atomic():
            today = self.of_today(user=user)
            ErasedQuota.objects.of(user).filter(day=today.day).delete()
            self.filter(user=user, day=today.day).update(
                **dict.fromkeys(CARRIED, 0), minute_sends=0, minute_cost_micro_usd=0
            )
        return today.used


class DailyQuota(models.Model):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    day = models.DateField(help_text="UTC.")
    used = models.PositiveIntegerField(default=0)
    unanswered = models.PositiveIntegerField(
        default=0,
        help_text="Replies that Gemini was asked for in vain; the first few gave their slot back.",
    )
    cost_micro_usd = models.PositiveBigIntegerField(
        default=0,
        help_text="Of replies that took a slot of this day, in millionths of a US dollar.",
    )
    text_bytes = models.PositiveBigIntegerField(
        default=0, help_text="Of the prompts and replies that were added."
    )
    minute_started_at = models.DateTimeField(null=True, editable=False)
    minute_sends = models.PositiveIntegerField(default=0, editable=False)
    minute_cost_micro_usd = models.PositiveBigIntegerField(default=0, editable=False)

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


# What of a day's quota outlives the account.
CARRIED = ("used", "unanswered", "cost_micro_usd", "text_bytes")


class ErasedQuotaQuerySet(models.QuerySet["ErasedQuota"]):
    def of(self, user: User) -> "ErasedQuotaQuerySet":
        """The rows of accounts that had the user's number before."""
        return self.filter(mobile_digest=mobile_digest(user.mobile))

    def carry(self, *, user: User) -> None:
        """Note the quotas of a user who is being erased, in the caller's transaction.

        A row of the same number and day is replaced: the user's own row went on from it.
        """
        # Yesterday too: the clocks of two machines differ.
        since = timezone.now().date() - timedelta(days=1)
        own = DailyQuota.objects.filter(user=user, day__gte=since).values("day", *CARRIED)
        digest = mobile_digest(user.mobile)
        self.bulk_create(
            [self.model(mobile_digest=digest, **row) for row in own],
            update_conflicts=True,
            unique_fields=["mobile_digest", "day"],
            update_fields=CARRIED,
        )

    def prunable(self) -> "ErasedQuotaQuerySet":
        return self.filter(day__lt=timezone.now().date())


class ErasedQuota(models.Model):
    """What an erased account had used of a day. A new account of its number goes on from there."""

    # As in audit events: only OTP_SECRET makes it of a number.
    mobile_digest = models.CharField(max_length=32)
    day = models.DateField(help_text="UTC.")
    used = models.PositiveIntegerField()
    unanswered = models.PositiveIntegerField()
    cost_micro_usd = models.PositiveBigIntegerField()
    text_bytes = models.PositiveBigIntegerField()

    objects = ErasedQuotaQuerySet.as_manager()

    class Meta:
        constraints = [
            # Its index serves the first send of an account's day.
            models.UniqueConstraint(
                name="one_erased_quota_a_number_and_day", fields=["mobile_digest", "day"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.used} on {self.day}"


# Attempts that ended a reply: none that was given up for another, and no title.
ENDED = Q(purpose="reply", outcome__in=["complete", "failed", "stopped"])


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    def detach(self, *, user_id: uuid.UUID, limit: int) -> int:
        """Take the person off some of the user's rows, which stay; how many there were."""
        some = self.filter(user_id=user_id).values("pk")[:limit]
        return self.filter(pk__in=some).update(user=None)

    def daily(self, *, user_id: uuid.UUID, days: int = 30) -> Sequence[Mapping[str, Any]]:
        """A row for each of the last `days` days (UTC, with today) that has usage, newest first.

        `replies` counts replies that ended, each once however many attempts it took. Tokens and
        cost are of every attempt, and of titles too.
        """
        first = timezone.now().date() - timedelta(days=days - 1)
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return list(
            self.filter(user_id=user_id, created_at__gte=start)
            .annotate(day=TruncDate("created_at", tzinfo=UTC))
            .values("day")
            .annotate(
                replies=Count("reply_id", distinct=True, filter=ENDED),
                prompt_tokens=Sum("prompt_tokens"),
                output_tokens=Sum("output_tokens"),
                cost_micro_usd=Sum("cost_micro_usd"),
            )
            .order_by("-day")
        )


class UsageRecord(models.Model):
    """One attempt at a reply or a room's title. It outlives the chat, and names no person then."""

    class Purpose(models.TextChoices):
        REPLY = "reply"
        TITLE = "title"

    class Outcome(models.TextChoices):
        COMPLETE = "complete"
        FAILED = "failed"
        STOPPED = "stopped"
        # The worker shut down, and another makes the reply.
        REQUEUED = "requeued"
        # The worker died, or another took its attempt over.
        LOST = "lost"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    purpose = models.CharField(
        max_length=8, choices=Purpose, default=Purpose.REPLY, db_default=Purpose.REPLY
    )
    # Of a title, the reply after which Gemini was asked for it.
    reply_id = models.UUIDField()
    attempt = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome)
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
                name="one_usage_record_an_attempt", fields=["reply_id", "attempt", "purpose"]
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

"""The daily quotas of users, and the usage after the end of an account."""

import uuid
from datetime import date, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from accounts.models.audit import mobile_digest
from billing import statements
from billing.plans import plan_for_user
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


class DailyQuotaQuerySet(models.QuerySet["DailyQuota"]):
    def reserve(self, *, user: User, text_bytes: int = 0) -> Quota:
        """Take one slot of today's quota, in the caller's transaction.

        Raises the result of `refusal`.
        """
        now = timezone.now()
        used = statements.reserve_slot(user=user, now=now, text_bytes=text_bytes)
        if used is None:
            raise self.refusal(user=user)
        return Quota(limit=plan_for_user(user).daily_limit, used=used, day=now.date())

    def refusal(self, *, user: User) -> DomainError:
        """The limit against a send now."""
        plan, today, now = plan_for_user(user), self.of_today(user=user), timezone.now()
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
        """Give one slot of a day back; never under 0."""
        taken = self.filter(user_id=user_id, day=day, used__gt=0)
        taken.update(used=F("used") - 1)

    def of_today(self, *, user: User) -> "DailyQuota":
        """Return the user's row of today; before the first send an unsaved row."""
        today = timezone.now().date()
        if own := self.filter(user=user, day=today).first():
            return own
        erased = ErasedQuota.objects.of(user).filter(day=today).values(*CARRIED).first()
        return DailyQuota(user=user, day=today, **(erased or {}))

    def usage(self, *, user: User) -> Quota:
        """Return the current quota of today."""
        today = self.of_today(user=user)
        return Quota(limit=plan_for_user(user).daily_limit, used=today.used, day=today.day)

    def reset(self, *, user: User) -> int:
        """End every limit of today for a user; return the count of used slots."""
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
            # The constraint's index serves every query here: all queries name the user and the day.
            models.UniqueConstraint(name="one_quota_a_user_and_day", fields=["user", "day"]),
            models.CheckConstraint(name="quota_used_is_not_negative", condition=Q(used__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.used} on {self.day}"


# The columns of a day's quota with a life beyond the account.
CARRIED = ("used", "unanswered", "cost_micro_usd", "text_bytes")


class ErasedQuotaQuerySet(models.QuerySet["ErasedQuota"]):
    def of(self, user: User) -> "ErasedQuotaQuerySet":
        """Select the rows of earlier accounts with the user's number."""
        return self.filter(mobile_digest=mobile_digest(user.mobile))

    def carry(self, *, user: User) -> None:
        """Note the quotas of a user in erasure, in the caller's transaction.

        A row of the same number and day is replaced, since the user's row includes the old row.
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
    """The used quota of an erased account, for a new account of the number."""

    # As in audit events: only OTP_SECRET makes the digest of a number.
    mobile_digest = models.CharField(max_length=32)
    day = models.DateField(help_text="UTC.")
    used = models.PositiveIntegerField()
    unanswered = models.PositiveIntegerField()
    cost_micro_usd = models.PositiveBigIntegerField()
    text_bytes = models.PositiveBigIntegerField()

    objects = ErasedQuotaQuerySet.as_manager()

    class Meta:
        constraints = [
            # The constraint's index serves the first send of an account's day.
            models.UniqueConstraint(
                name="one_erased_quota_a_number_and_day", fields=["mobile_digest", "day"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.used} on {self.day}"

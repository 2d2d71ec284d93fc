"""The ledger: what each attempt at a reply or a title used."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

# Attempts with the final outcome of a reply: no attempt given up for another, and no title.
ENDED = Q(purpose="reply", outcome__in=["complete", "failed", "stopped"])


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    def detach(self, *, user_id: uuid.UUID, limit: int) -> int:
        """Detach the person from some of the user's rows; return the count of rows.

        The rows stay.
        """
        some = self.filter(user_id=user_id).values("pk")[:limit]
        return self.filter(pk__in=some).update(user=None)

    def daily(self, *, user_id: uuid.UUID, days: int = 30) -> Sequence[Mapping[str, Any]]:
        """Return usage per day (UTC) of the last `days` days with today, newest first.

        A day without usage has no row. `replies` counts ended replies, each reply once at any
        number of attempts. Tokens and cost are of every attempt, and of titles too.
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
    """One attempt at a reply or a room's title; a later erasure removes the user.

    The row outlives the chat, and then names no person.
    """

    class Purpose(models.TextChoices):
        REPLY = "reply"
        TITLE = "title"

    class Outcome(models.TextChoices):
        COMPLETE = "complete"
        FAILED = "failed"
        STOPPED = "stopped"
        # The worker shut down, and another makes the reply.
        REQUEUED = "requeued"
        # The worker died, or another worker took the attempt over.
        LOST = "lost"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.REPLY)
    # Of a title, the reply before the request to Gemini.
    reply_id = models.UUIDField()
    attempt = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome)
    error_code = models.CharField(max_length=32, blank=True)
    provider_code = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(null=True)
    # The person's wait from the send; null without a wait, after a retry by staff.
    first_token_ms = models.PositiveIntegerField(null=True)
    reply_ms = models.PositiveIntegerField(null=True)
    prompt_tokens = models.PositiveIntegerField()
    output_tokens = models.PositiveIntegerField()
    cached_tokens = models.PositiveIntegerField()
    thinking_tokens = models.PositiveIntegerField()
    # Input of tools, as a page that Gemini has read. Not part of the prompt's tokens.
    tool_prompt_tokens = models.PositiveIntegerField(default=0)
    search_queries = models.PositiveIntegerField(default=0)
    # The part of the prompt's tokens for audio.
    audio_tokens = models.PositiveIntegerField(default=0)
    cost_micro_usd = models.PositiveBigIntegerField(help_text="Millionths of a US dollar.")
    # The part of the cost for search queries.
    search_cost_micro_usd = models.PositiveBigIntegerField(default=0)
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


def totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The sums of `UsageRecord.objects.daily()`'s rows."""
    names = ("replies", "prompt_tokens", "output_tokens", "cost_micro_usd")
    return {name: sum(row[name] for row in rows) for name in names}

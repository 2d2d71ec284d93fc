"""The hits of limits, for a day."""

from datetime import timedelta
from typing import Self, TypeVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models.audit import mobile_digest

LIFETIME = timedelta(hours=24)


Row = TypeVar("Row", bound=models.Model)


class ExpiringQuerySet(models.QuerySet[Row]):
    def prunable(self) -> Self:
        return self.filter(created_at__lt=timezone.now() - LIFETIME)


class LimitHitQuerySet(ExpiringQuerySet["LimitHit"]):
    def anonymise(self, *, mobile: str) -> None:
        """Move a number's hits to a digest, so that an erasure gives no new allowance."""
        self.filter(subject=mobile).update(subject=mobile_digest(mobile))


class LimitHit(models.Model):
    """One hit of a limit (`accounts.auth.rate_limits`) in a sliding window."""

    class Kind(models.TextChoices):
        # Codes to a number: requested from a network known to the account, or not.
        OWNER_SEND = "owner_send"
        SEND = "send"
        # Codes requested from a network, until an answer to a code.
        NETWORK_SEND = "network_send"
        BUDGET = "budget"
        BUDGET_ALERT = "budget_alert"
        # Solved challenges, valid once.
        CHALLENGE = "challenge"
        CODE_FAILURE = "code_failure"
        PASSWORD_FAILURE = "password_failure"  # noqa: S105
        STAFF_FAILURE = "staff_failure"
        LOGIN = "login"
        SIGNUP = "signup"
        STRIPE_CALL = "stripe_call"
        ROOM = "room"
        UPLOAD = "upload"

    kind = models.CharField(max_length=16, choices=Kind)
    # A mobile number, or a digest after the user's erasure; a network; or the one name of a count
    # of all.
    subject = models.CharField(max_length=64)
    # Where a guess at a number's password came from; empty for other counts.
    network = models.CharField(max_length=64, blank=True)
    # The code requested or guessed from a network: using the code deletes the hit.
    code_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()

    objects = LimitHitQuerySet.as_manager()

    class Meta:
        indexes = [
            # The newest hits of a subject, when a limit is looked at.
            models.Index("kind", "subject", F("created_at").desc(), name="limit_hits_of_subject"),
            # The hits of a code; a use of the code deletes the hits.
            models.Index("code_id", name="limit_hits_of_code", condition=Q(code_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject}"

"""Erasures: the account is closed at once, the rest is erased in the background."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

# A worker without a renewal of the lease is dead. Each step takes a few seconds at most.
LEASE = timedelta(seconds=60)


class ErasureQuerySet(models.QuerySet["Erasure"]):
    def due(self) -> "ErasureQuerySet":
        """Return erasures without a worker, or with a dead worker.

        The clock is PostgreSQL's, since a web process stores the time and a worker compares.
        """
        return self.filter(next_try_at__lte=Now())

    def claim(self, erasure_id: uuid.UUID) -> "Erasure | None":
        """Claim an erasure; None when not due, done, or claimed by another worker."""
        claimed = (
            self.due().filter(pk=erasure_id).update(next_try_at=Now() + LEASE, tries=F("tries") + 1)
        )
        return self.select_related("user").get(pk=erasure_id) if claimed else None


class Erasure(models.Model):
    """The order to erase a user; the row goes with the user."""

    # Not the user's id, so a task in the queue does not name the user.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="erasure")
    requested_at = models.DateTimeField()
    # As in AuditEvent: empty for the user, else `command` or the id of a member of staff.
    actor = models.CharField(max_length=64, blank=True)
    tries = models.PositiveIntegerField(default=0)
    # When the next try is due; while a worker has the erasure, when the lease runs out. By
    # PostgreSQL's clock.
    next_try_at = models.DateTimeField()
    # Until then the data stays, and support can give the account back: an account without a number.
    not_before = models.DateTimeField(null=True)
    # Why the erasure waits, for staff.
    error = models.CharField(max_length=200, blank=True)

    objects = ErasureQuerySet.as_manager()

    class Meta:
        indexes = [
            # The sweep for due erasures.
            models.Index("next_try_at", name="erasure_due"),
        ]

    def __str__(self) -> str:
        return f"erasure {self.id}"

    @property
    def early_seconds(self) -> float:
        """Return the seconds until the data may be erased, at least 0."""
        if self.not_before is None:
            return 0.0
        return max(0.0, (self.not_before - timezone.now()).total_seconds())

    def make_due(self) -> None:
        """Erase as soon as a worker takes the erasure."""
        self.not_before = None
        Erasure.objects.filter(pk=self.pk).update(not_before=None, next_try_at=Now())

    def keep_lease(self) -> bool:
        """Renew the lease; False when another worker has the erasure."""
        own = Erasure.objects.filter(pk=self.pk, tries=self.tries)
        return own.update(next_try_at=Now() + LEASE) == 1

    def put_off(self, *, seconds: float, error: str = "") -> None:
        """Postpone the erasure to a later try, unless another worker has the lease."""
        Erasure.objects.filter(pk=self.pk, tries=self.tries).update(
            next_try_at=Now() + timedelta(seconds=seconds), error=error[:200]
        )

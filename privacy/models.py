"""The export of a user's data: the request, and the id of the ZIP.

A trigger queues the deletion of the ZIP, however the row ends. Each claim takes a new id, so a
worker that lost its lease never writes over the ZIP of another worker.
"""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models.users import User
from files.models.keys import key_of

# The folder of exports in the storage.
EXPORTS = "exports"
EXPORT_LIFETIME = timedelta(days=7)
# A worker without a renewal of the lease is dead. While the storage is down, an export waits for
# this time between two attempts.
LEASE = timedelta(seconds=60)
# A new request within this time gets the latest export.
RECENT = timedelta(hours=1)
MOST_ATTEMPTS = 5


class AttemptSuperseded(Exception):
    """Another worker has claimed the export, or the export was deleted."""


class DataExportQuerySet(models.QuerySet["DataExport"]):
    def current(self, user: User) -> "DataExport | None":
        """Return the user's export, unless the export has expired."""
        export = self.filter(user=user).first()
        return None if export is None or export.has_expired else export

    def get_or_start(self, user: User) -> "tuple[DataExport, bool]":
        """Return the active or recent export, or a new export in place of the old.

        The second value is True for a new export.
        """
        with transaction.atomic():
            # The lock keeps two requests from both creating a row.
            User.objects.select_for_update(no_key=True).get(pk=user.pk)
            export = self.filter(user=user).first()
            if export is not None and (export.is_active or export.is_recent):
                return export, False
            self.filter(user=user).delete()
            return self.create(user=user, requested_at=timezone.now(), next_try_at=Now()), True

    def due(self) -> "DataExportQuerySet":
        """Return exports without a worker, or with a dead worker.

        The clock is PostgreSQL's, since a web process stores the time and a worker compares.
        """
        return self.filter(status__in=ACTIVE_STATUSES, next_try_at__lte=Now())

    def claim(self, export_id: uuid.UUID) -> "DataExport | None":
        """Claim an export with a new blob id; None when already ended or claimed."""
        blob_id = uuid7()
        self.due().filter(pk=export_id).update(
            status=DataExport.Status.BUILDING,
            attempt=F("attempt") + 1,
            next_try_at=Now() + LEASE,
            blob_id=blob_id,
        )
        return self.select_related("user").filter(blob_id=blob_id).first()

    def expired(self) -> "DataExportQuerySet":
        return self.filter(expires_at__lte=timezone.now())


class DataExport(models.Model):
    class Status(models.TextChoices):
        QUEUED = "queued"
        BUILDING = "building"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # One per user: a newer export replaces the older.
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    status = models.CharField(max_length=8, choices=Status, default=Status.QUEUED)
    requested_at = models.DateTimeField()
    attempt = models.PositiveSmallIntegerField(default=0)
    # The time of the next claim; while a worker has the export, the end of its lease. By
    # PostgreSQL's clock.
    next_try_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    # Of the attempt in progress, or of the ZIP.
    blob_id = models.UUIDField(null=True, unique=True, editable=False)
    size = models.PositiveBigIntegerField(null=True, help_text="Bytes of the ZIP.")

    objects = DataExportQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="export_is_active_or_ended",
                condition=Q(
                    status__in=["queued", "building"],
                    next_try_at__isnull=False,
                    ended_at=None,
                    expires_at=None,
                    size=None,
                )
                | Q(
                    status="ready",
                    next_try_at=None,
                    ended_at__isnull=False,
                    expires_at__isnull=False,
                    blob_id__isnull=False,
                    size__isnull=False,
                )
                | Q(
                    status="failed",
                    next_try_at=None,
                    ended_at__isnull=False,
                    expires_at__isnull=False,
                    blob_id=None,
                    size=None,
                ),
            ),
        ]
        indexes = [
            # The sweep for exports without a worker.
            models.Index(
                "next_try_at",
                name="export_due",
                condition=Q(status__in=["queued", "building"]),
            ),
            # The nightly deletion of expired exports.
            models.Index("expires_at", name="export_expiry"),
        ]

    def __str__(self) -> str:
        return f"export {self.id}"

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE_STATUSES

    @property
    def is_recent(self) -> bool:
        is_ready = self.status == self.Status.READY
        return is_ready and self.ended_at is not None and timezone.now() < self.ended_at + RECENT

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def key(self) -> str:
        """Return the key of the ZIP in the storage."""
        assert self.blob_id is not None, "the row names a ZIP"  # noqa: S101
        return key_of(self.blob_id, folder=EXPORTS)

    def renew_lease(self) -> bool:
        """Renew the lease of this attempt; False if lost."""
        return bool(self._own().update(next_try_at=Now() + LEASE))

    def finish(self, *, size: int) -> None:
        """Mark the export ready, after its bytes are stored. Raises AttemptSuperseded."""
        self._end(self.Status.READY, size=size)

    def fail(self) -> None:
        """Mark the export failed. Raises AttemptSuperseded."""
        self._end(self.Status.FAILED, blob_id=None)

    def release(self) -> None:
        """Give this attempt back: the storage failed, not the export."""
        self._own().update(
            status=self.Status.QUEUED,
            attempt=F("attempt") - 1,
            next_try_at=Now() + LEASE,
            blob_id=None,
        )

    def _own(self) -> DataExportQuerySet:
        """Return the row while this attempt holds the lease."""
        return DataExport.objects.filter(status=self.Status.BUILDING, blob_id=self.blob_id)

    def _end(self, status: Status, **values: Any) -> None:
        now = timezone.now()
        ended = self._own().update(
            status=status,
            next_try_at=None,
            ended_at=now,
            expires_at=now + EXPORT_LIFETIME,
            **values,
        )
        if not ended:
            raise AttemptSuperseded


ACTIVE_STATUSES = [DataExport.Status.QUEUED, DataExport.Status.BUILDING]


class PrivacyAction(models.TextChoices):
    """Audit actions on personal data, by users, commands and staff."""

    USER_EXPORTED = "user_exported"
    EXPORT_DOWNLOADED = "export_downloaded"
    ERASURE_ORDERED = "erasure_ordered"

"""The export of a user's data: the request and the file.

The file is in the database, since web and worker share no disk. It is deleted with the user, and a
backup contains it. It is stored in parts, so that no process has all of it in memory.
"""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models.users import User

EXPORT_LIFETIME = timedelta(days=7)
# A worker that adds no part for this time is dead. A part takes a second or two at most.
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
        """Claim an export without its parts; None when already ended or claimed."""
        with transaction.atomic():
            claimed = (
                self.due()
                .filter(pk=export_id)
                .update(
                    status=DataExport.Status.BUILDING,
                    attempt=F("attempt") + 1,
                    next_try_at=Now() + LEASE,
                )
            )
            if not claimed:
                return None
            ExportPart.objects.filter(export=export_id).delete()
            return self.select_related("user").get(pk=export_id)

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
    size = models.PositiveBigIntegerField(null=True, help_text="Bytes of the file.")

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
                    size__isnull=False,
                )
                | Q(
                    status="failed",
                    next_try_at=None,
                    ended_at__isnull=False,
                    expires_at__isnull=False,
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

    def add_part(self, number: int, content: bytes) -> None:
        """Store the next part of the file and renew the lease. Raises AttemptSuperseded."""
        with transaction.atomic():
            if not self._own().update(next_try_at=Now() + LEASE):
                raise AttemptSuperseded
            ExportPart.objects.create(export=self, number=number, content=content)

    def finish(self, *, size: int) -> None:
        """Mark the file complete. Raises AttemptSuperseded."""
        self._end(self.Status.READY, size=size)

    def fail(self) -> None:
        """Mark the export failed, and delete its parts. Raises AttemptSuperseded."""
        with transaction.atomic():
            self._end(self.Status.FAILED, size=None)
            ExportPart.objects.filter(export=self).delete()

    def _own(self) -> DataExportQuerySet:
        """Return the row while this attempt holds the lease."""
        return DataExport.objects.filter(
            pk=self.pk, status=self.Status.BUILDING, attempt=self.attempt
        )

    def _end(self, status: Status, *, size: int | None) -> None:
        now = timezone.now()
        ended = self._own().update(
            status=status,
            next_try_at=None,
            ended_at=now,
            expires_at=now + EXPORT_LIFETIME,
            size=size,
        )
        if not ended:
            raise AttemptSuperseded


ACTIVE_STATUSES = [DataExport.Status.QUEUED, DataExport.Status.BUILDING]


class ExportPart(models.Model):
    export = models.ForeignKey(DataExport, models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [
            # The index serves the download: the parts are read in order.
            models.UniqueConstraint(name="unique_export_part", fields=["export", "number"]),
        ]

    def __str__(self) -> str:
        return f"part {self.number}"


class PrivacyAction(models.TextChoices):
    """Audit actions on personal data, by users, commands and staff."""

    USER_EXPORTED = "user_exported"
    EXPORT_DOWNLOADED = "export_downloaded"
    ERASURE_ORDERED = "erasure_ordered"

"""Files: each is received by web, then examined by a worker, then ready or refused.

Every step is a conditional update with the expected status, and in an examination the attempt. So a
process that lost its lease changes nothing.
"""

import uuid
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from files.models.keys import key_of

MOST_ATTEMPTS = 3
# A file that no message takes is erased after this time.
UNUSED_LIFETIME = timedelta(hours=24)


def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.FILE_LEASE_SECONDS)


class FileQuerySet(models.QuerySet["File"]):
    def visible(self) -> "FileQuerySet":
        """Filter the files that have arrived and are not deleted."""
        return self.filter(status__in=VISIBLE_STATUSES)

    def owned_by(self, user_id: uuid.UUID) -> "FileQuerySet":
        return self.visible().filter(user_id=user_id)

    def used_bytes(self, *, user_id: uuid.UUID) -> int:
        """Sum the space of a user, with the reserved space of uploads in progress."""
        held = self.filter(user_id=user_id, status__in=HOLDING_STATUSES)
        return held.aggregate(used=models.Sum("size"))["used"] or 0

    def renew_lease(self, *, file_id: uuid.UUID, status: str, attempt: int = 0) -> bool:
        """Renew the lease of an upload or an examination; False if lost."""
        held = self.filter(
            pk=file_id, status=status, attempt=attempt, lease_expires_at__isnull=False
        )
        return bool(held.update(lease_expires_at=lease_end()))

    def receive(
        self,
        *,
        file_id: uuid.UUID,
        name: str,
        sha256: bytes,
        size: int,
        kind: str,
        media_type: str,
    ) -> "File | None":
        """End an upload; None for bytes that the user has, or a lost lease.

        The size is at most the reserved size.
        """
        receiving = self.filter(pk=file_id, status=File.Status.RECEIVING, size__gte=size)
        try:
            with transaction.atomic():
                received = receiving.update(
                    status=File.Status.RECEIVED,
                    name=name,
                    sha256=sha256,
                    size=size,
                    kind=kind,
                    media_type=media_type,
                    lease_expires_at=None,
                )
        except IntegrityError:
            return None
        return self.get(pk=file_id) if received else None

    def same_bytes(self, *, user_id: uuid.UUID, sha256: bytes) -> "File | None":
        """Return the user's file with these bytes; an unused file begins its day again."""
        same = self.filter(
            user_id=user_id, sha256=sha256, status__in=[File.Status.RECEIVED, File.Status.READY]
        )
        same.filter(erase_at__isnull=False).update(erase_at=timezone.now() + UNUSED_LIFETIME)
        return same.first()

    def claim_next(self) -> "File | None":
        """Claim the oldest file that waits for its examination, or whose worker is dead."""
        free = Q(lease_expires_at=None) | Q(lease_expires_at__lte=timezone.now())
        with transaction.atomic():
            waiting = self.filter(free, status=File.Status.RECEIVED).order_by("pk")
            file = waiting.select_for_update(skip_locked=True, of=("self",)).first()
            if file is None:
                return None
            file.attempt += 1
            file.lease_expires_at = lease_end()
            file.save(update_fields=["attempt", "lease_expires_at"])
        return file

    def waiting_count(self) -> int:
        """Count the files for which a claim is due."""
        free = Q(lease_expires_at=None) | Q(lease_expires_at__lte=timezone.now())
        return self.filter(free, status=File.Status.RECEIVED).count()

    def delete_abandoned(self) -> int:
        """Delete uploads whose web process is dead; this gives their space back."""
        dead = self.filter(status=File.Status.RECEIVING, lease_expires_at__lte=timezone.now())
        return dead.delete()[0]

    def due(self, *, now: datetime) -> "FileQuerySet":
        """Filter the files to erase, unless a row uses them."""
        return self.filter(erase_at__lte=now).exclude(status=File.Status.RECEIVING)

    def used(self) -> "FileQuerySet":
        """Filter the files in use: a row of any table refers to the file."""
        users = [
            Exists(
                relation.related_model._default_manager.filter(
                    **{relation.field.name: OuterRef("pk")}
                )
            )
            for relation in File._meta.related_objects
        ]
        return self.filter(reduce(or_, users)) if users else self.none()

    def erase_due(self, *, now: datetime, limit: int = 500) -> int:
        """Erase due files without a use, and return the count of the due files.

        The lock comes first. So a message that takes a file, or a message that goes, is seen.
        """
        with transaction.atomic():
            due = self.due(now=now).order_by("erase_at").select_for_update(skip_locked=True)
            due_ids = set(due.values_list("pk", flat=True)[:limit])
            held = self.filter(pk__in=due_ids)
            used_ids = set(held.used().values_list("pk", flat=True))
            held.filter(pk__in=used_ids).update(erase_at=None)
            held.filter(pk__in=due_ids - used_ids).delete()
        return len(due_ids)

    def mark_deleted(self) -> int:
        """Mark visible files deleted; a trigger queues the deletion of their bytes."""
        return self.visible().update(status=File.Status.DELETED, lease_expires_at=None)


class File(models.Model):
    class Status(models.TextChoices):
        RECEIVING = "receiving"
        RECEIVED = "received"
        READY = "ready"
        REFUSED = "refused"
        DELETED = "deleted"

    class Kind(models.TextChoices):
        IMAGE = "image"
        PDF = "pdf"
        AUDIO = "audio"
        TEXT = "text"

    class Refusal(models.TextChoices):
        """The codes of an examination, each with its sentence for people."""

        FILE_UNREADABLE = "file_unreadable", "This file is damaged, or not what its type says."
        FILE_ENCRYPTED = "file_encrypted", "This PDF has a password. Remove the password first."
        TOO_MANY_PIXELS = "too_many_pixels", "This picture has more than 25 megapixels."
        TOO_MANY_PAGES = "too_many_pages", "This PDF has more than 1,000 pages."
        FILE_INFECTED = "file_infected", "The virus scanner refused this file."
        STORAGE_FULL = (
            "storage_full",
            "Stored as a PNG, this picture needs more space than is free.",
        )

    # Version 7, so ids sort by time: the order of the list.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    status = models.CharField(max_length=12, choices=Status)
    # Known from the first bytes, so empty until the bytes have arrived.
    kind = models.CharField(max_length=8, choices=Kind, blank=True, default="")
    media_type = models.CharField(max_length=64, blank=True, default="")
    name = models.CharField(max_length=255)
    # Bytes. Of an upload in progress the reserved bytes.
    size = models.PositiveBigIntegerField()
    # Of the received bytes: a re-encoded picture has other bytes.
    sha256 = models.BinaryField(max_length=32, null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    pages = models.PositiveIntegerField(null=True)
    seconds = models.FloatField(null=True)
    # An estimate of the tokens that Gemini will count.
    tokens = models.PositiveIntegerField(null=True)
    refusal_code = models.CharField(max_length=32, choices=Refusal, blank=True, default="")
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    examined_at = models.DateTimeField(null=True)
    # The end of an unused file. Without a value a message has the file. A trigger sets the time
    # when a message with the file goes.
    erase_at = models.DateTimeField(null=True)

    objects = FileQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="file_status_is_known",
                condition=Q(status__in=["receiving", "received", "ready", "refused", "deleted"]),
            ),
            models.CheckConstraint(
                name="file_is_whole_when_received",
                condition=~Q(status__in=["received", "ready"])
                | (Q(sha256__isnull=False, size__gt=0) & ~Q(media_type="") & ~Q(kind="")),
            ),
            models.CheckConstraint(
                name="file_lease_while_in_progress",
                condition=Q(status="receiving", lease_expires_at__isnull=False)
                | Q(status="received")
                | Q(status__in=["ready", "refused", "deleted"], lease_expires_at=None),
            ),
            models.CheckConstraint(
                name="file_code_when_refused",
                condition=(Q(status="refused") & ~Q(refusal_code=""))
                | (~Q(status="refused") & Q(refusal_code=""))
                | Q(status="deleted"),
            ),
            models.UniqueConstraint(
                "user",
                "sha256",
                name="one_file_a_user_and_bytes",
                condition=Q(status__in=["received", "ready"]),
            ),
        ]
        indexes = [
            # The list of a user, and the sum of the user's space.
            models.Index("user", "id", name="file_user", include=["size", "status"]),
            # The sweep of uploads whose web process is dead.
            models.Index(
                "lease_expires_at", name="file_receiving", condition=Q(status="receiving")
            ),
            # The next file to examine.
            models.Index("id", name="file_waiting", condition=Q(status="received")),
            # The sweep of unused files.
            models.Index("erase_at", name="file_unused", condition=Q(erase_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"file {self.id}"

    @property
    def key(self) -> str:
        """Return the key of the bytes in the storage."""
        return key_of(self.pk)

    @property
    def is_examined(self) -> bool:
        return self.status in (self.Status.READY, self.Status.REFUSED)

    def refuse(self, code: Refusal) -> bool:
        """End the examination of this attempt; False if the attempt is over."""
        return bool(
            self._own().update(
                status=self.Status.REFUSED,
                refusal_code=code,
                lease_expires_at=None,
                examined_at=timezone.now(),
            )
        )

    def release(self) -> None:
        """Give this attempt back: the storage failed, not the file."""
        self._own().update(lease_expires_at=None, attempt=F("attempt") - 1)

    def _own(self) -> FileQuerySet:
        return File.objects.filter(
            pk=self.pk, status=self.Status.RECEIVED, attempt=self.attempt
        ).exclude(lease_expires_at=None)


VISIBLE_STATUSES = [File.Status.RECEIVED, File.Status.READY, File.Status.REFUSED]
# The statuses that count in a user's space.
HOLDING_STATUSES = [File.Status.RECEIVING, File.Status.RECEIVED, File.Status.READY]

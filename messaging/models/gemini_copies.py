"""Copies of files at Google's Files API.

The row comes before the copy, and goes after the copy. So a crash leaves no unknown copy.
"""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from files.models import File

# Google deletes a copy after 48 hours; a reply may wait for hours.
COPY_LIFETIME = timedelta(hours=46)


def lease() -> timedelta:
    """Return the time after which the worker of an upload counts as dead."""
    return timedelta(seconds=1.5 * settings.GEMINI_UPLOAD_SECONDS)


class GeminiCopyQuerySet(models.QuerySet["GeminiCopy"]):
    def uri_of(self, *, file_id: uuid.UUID, key: str) -> str:
        """Return the address of a usable copy of a file; empty without a copy."""
        usable = self.filter(
            file_id=file_id, key=key, expires_at__gt=timezone.now(), discarded=False
        )
        return usable.values_list("uri", flat=True).first() or ""

    def claim(self, *, file_id: uuid.UUID, key: str) -> "GeminiCopy | None":
        """Claim the upload of a file; None while another reply uploads the file.

        An abandoned copy stays in the table for the sweep.
        """
        now = timezone.now()
        self.filter(file_id=file_id, discarded=False).filter(
            Q(lease_expires_at__lte=now) | Q(expires_at__lte=now) | ~Q(key=key)
        ).update(discarded=True)
        copy = GeminiCopy(file_id=file_id, key=key, lease_expires_at=now + lease())
        GeminiCopy.objects.bulk_create([copy], ignore_conflicts=True)
        return self.filter(pk=copy.pk).first()

    def discard(self, file_ids: list[uuid.UUID]) -> None:
        """Give copies up that Google does not serve."""
        self.filter(file_id__in=file_ids).exclude(uri="").update(discarded=True)

    def deletable(self, *, now: datetime) -> "GeminiCopyQuerySet":
        """Filter the copies without a use: the file is gone, or another copy serves."""
        file = File.objects.filter(pk=OuterRef("file_id"), status=File.Status.READY)
        idle = Q(lease_expires_at=None) | Q(lease_expires_at__lte=now)
        return self.filter(idle).filter(
            Q(discarded=True)
            | Q(expires_at__lte=now)
            | Q(lease_expires_at__lte=now)
            | ~Exists(file)
        )


class GeminiCopy(models.Model):
    # Also the name of the copy at Google: known before the upload.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No foreign key: the copy outlives the file until Google has deleted the copy.
    file_id = models.UUIDField()
    # The digest of the API key with access to the copy.
    key = models.CharField(max_length=16)
    # Empty until the end of the upload.
    uri = models.CharField(max_length=300, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    discarded = models.BooleanField(default=False)

    objects = GeminiCopyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "file_id", name="gemini_copy_one_a_file", condition=Q(discarded=False)
            ),
            models.CheckConstraint(
                name="gemini_copy_expires_once_stored",
                condition=Q(uri="", expires_at=None)
                | (~Q(uri="") & Q(lease_expires_at=None, expires_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"files/{self.pk}"

    def give_up(self) -> None:
        """Leave a failed upload to the sweep: Google may have the copy."""
        claimed = GeminiCopy.objects.filter(pk=self.pk, uri="")
        claimed.update(discarded=True, lease_expires_at=None)

    def finish(self, *, uri: str) -> bool:
        """Store the address of the copy; False if the file is gone with the row."""
        claimed = GeminiCopy.objects.filter(pk=self.pk, lease_expires_at__isnull=False)
        return bool(
            claimed.update(
                uri=uri, lease_expires_at=None, expires_at=timezone.now() + COPY_LIFETIME
            )
        )

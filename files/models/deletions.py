"""Bytes to delete from the storage.

Triggers on the tables that name bytes add a row for each ended file and export.
"""

from datetime import datetime, timedelta

from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

# A worker deletes a batch within this time, or another worker repeats the batch.
CLAIM = timedelta(minutes=5)
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 30, 1800
OVERDUE = timedelta(hours=1)


class BlobDeletionQuerySet(models.QuerySet["BlobDeletion"]):
    def claim(self, *, limit: int) -> "list[BlobDeletion]":
        """Claim the oldest due deletions for `CLAIM`."""
        now = timezone.now()
        with transaction.atomic():
            due = self.filter(due_at__lte=now).order_by("due_at")
            claimed: list[BlobDeletion] = list(due.select_for_update(skip_locked=True)[:limit])
            rows = self.filter(pk__in=[deletion.pk for deletion in claimed])
            rows.update(due_at=now + CLAIM, tries=F("tries") + 1)
        return claimed

    def enqueue(self, *, key: str) -> None:
        """Delete bytes that a process wrote after the end of their row."""
        now = timezone.now()
        self.create(key=key, created_at=now, due_at=now)

    def overdue(self, *, now: datetime) -> "BlobDeletionQuerySet":
        return self.filter(created_at__lt=now - OVERDUE)


class BlobDeletion(models.Model):
    # The row that named the bytes is gone, or is going.
    key = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)

    objects = BlobDeletionQuerySet.as_manager()

    class Meta:
        indexes = [
            # The task that deletes bytes.
            models.Index("due_at", name="blob_deletion_due"),
            # The doctor's warning.
            models.Index("created_at", name="blob_deletion_age"),
        ]

    def __str__(self) -> str:
        return f"deletion of {self.key}"

    def put_off(self) -> None:
        """Try again after a backoff."""
        seconds = min(FIRST_BACKOFF_SECONDS * 2 ** min(self.tries, 10), LONGEST_BACKOFF_SECONDS)
        due_at = timezone.now() + timedelta(seconds=seconds)
        BlobDeletion.objects.filter(pk=self.pk).update(due_at=due_at)

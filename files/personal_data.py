"""Personal data of files: exported, pruned and erased."""

from collections.abc import Iterator
from typing import IO, Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.personal_data import ExportSection
from files.models import File
from files.storage import blobs
from gemchat.stores.batches import in_key_order

BATCH = 200


def export_sections(user: User, *, left_out: QuerySet[Any]) -> list[ExportSection]:
    """List the rows of files; `left_out` has the ids of other files."""
    files = File.objects.owned_by(user.pk).exclude(pk__in=left_out)
    return [ExportSection("files", files, ["lease_expires_at", "sha256"])]


def export_blobs(user: User, *, left_out: QuerySet[Any]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield each ready file, open for reading, with its name in the archive.

    `left_out` has the ids of other files. Raises StorageUnavailable.
    """
    ready = File.objects.filter(user=user, status=File.Status.READY).exclude(pk__in=left_out)
    for batch in in_key_order(ready, BATCH):
        for file in batch:
            try:
                with blobs.opened(file.key) as stored:
                    yield f"files/{file.pk}/{file.name}", stored
            except blobs.BlobMissing:
                # The user deleted the file during the export.
                continue


def prune(*, dry_run: bool = False) -> dict[str, int]:
    """Delete and count expired rows; a dry run counts only."""
    now = timezone.now()
    unused = File.objects.due(now=now)
    unused = unused.exclude(pk__in=unused.used())
    count = unused.count()
    while not dry_run and File.objects.erase_due(now=now):
        pass
    return {"unused_files": count}


def erase(user: User) -> Iterator[None]:
    """Delete the rows of a user, and yield after each batch.

    A trigger queues the deletion of the bytes.
    """
    files = File.objects.filter(user=user).order_by("pk")
    while batch := list(files.values_list("pk", flat=True)[:BATCH]):
        File.objects.filter(pk__in=batch).delete()
        yield

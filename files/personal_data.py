"""Personal data of files: exported, pruned and erased."""

from collections.abc import Iterator
from typing import IO

from django.utils import timezone

from accounts.models import User
from accounts.personal_data import ExportSection, prune_rows
from files.models import File
from files.storage import blobs
from gemchat.stores.batches import in_key_order

BATCH = 200


def export_sections(user: User) -> list[ExportSection]:
    return [ExportSection("files", File.objects.owned_by(user.pk), ["lease_expires_at", "sha256"])]


def export_blobs(user: User) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield each ready file, open for reading, with its name in the archive.

    Raises StorageUnavailable.
    """
    ready = File.objects.filter(user=user, status=File.Status.READY)
    for batch in in_key_order(ready, BATCH):
        for file in batch:
            try:
                with blobs.opened(file.pk) as stored:
                    yield f"files/{file.pk}/{file.name}", stored
            except blobs.BlobMissing:
                # The user deleted the file during the export.
                continue


def prune(*, dry_run: bool = False) -> dict[str, int]:
    """Delete and count expired rows; a dry run counts only."""
    return prune_rows(
        {"unattached_files": File.objects.unattached(now=timezone.now())}, dry_run=dry_run
    )


def erase(user: User) -> Iterator[None]:
    """Delete the rows of a user, and yield after each batch.

    A trigger queues the deletion of the bytes.
    """
    files = File.objects.filter(user=user).order_by("pk")
    while batch := list(files.values_list("pk", flat=True)[:BATCH]):
        File.objects.filter(pk__in=batch).delete()
        yield

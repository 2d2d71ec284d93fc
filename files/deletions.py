"""The deletion of bytes from the storage, after the end of their files."""

import logging
from contextlib import suppress
from datetime import timedelta

from django.utils import timezone

from files.models import BlobDeletion, File
from files.storage import blobs

logger = logging.getLogger(__name__)

BATCH = 200
# Younger bytes may belong to an upload in progress.
LEAST_ORPHAN_AGE = timedelta(days=1)


def delete_due() -> int:
    """Delete the bytes of due deletions, oldest first, and return their count."""
    deleted = 0
    while batch := BlobDeletion.objects.claim(limit=BATCH):
        done = []
        for deletion in batch:
            try:
                blobs.delete(deletion.file_id)
            except blobs.StorageUnavailable as error:
                logger.warning("The bytes of %s wait for deletion: %s", deletion.file_id, error)
                deletion.put_off()
            else:
                done.append(deletion.pk)
        BlobDeletion.objects.filter(pk__in=done).delete()
        deleted += len(done)
        if len(done) < len(batch):
            break
    return deleted


def delete_orphans() -> int:
    """Queue the deletion of bytes without a row, folder by folder; return their count."""
    before = timezone.now() - LEAST_ORPHAN_AGE
    count = 0
    for folder in blobs.folders():
        stored = blobs.file_ids_in(folder)
        known = File.objects.filter(pk__in=stored).values_list("pk", flat=True)
        for file_id in stored - set(known):
            # A thumbnail alone has lost its picture.
            with suppress(blobs.BlobMissing):
                if blobs.written_at(file_id) >= before:
                    continue
            BlobDeletion.objects.enqueue(file_id=file_id)
            count += 1
    return count

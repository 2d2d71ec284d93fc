"""The deletion of bytes from the storage, after the end of their rows."""

import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from files.models import BlobDeletion
from files.models.keys import key_of
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
                blobs.delete(deletion.key)
            except blobs.StorageUnavailable as error:
                logger.warning("The bytes of %s wait for deletion: %s", deletion.key, error)
                deletion.put_off()
            else:
                done.append(deletion.pk)
        BlobDeletion.objects.filter(pk__in=done).delete()
        deleted += len(done)
        if len(done) < len(batch):
            break
    return deleted


def delete_orphans(root: str, rows: "QuerySet[Any]", field: str) -> int:
    """Queue the deletion of bytes that no row names, folder by folder; return their count.

    The field has the id of the bytes.
    """
    before = timezone.now() - LEAST_ORPHAN_AGE
    count = 0
    for folder in blobs.folders(root):
        stored = blobs.ids_in(folder)
        known = rows.filter(**{f"{field}__in": stored}).values_list(field, flat=True)
        for blob_id in stored - set(known):
            key = key_of(blob_id, folder=root)
            # A thumbnail alone has lost its picture, and an unfinished blob its writer.
            with suppress(blobs.BlobMissing):
                if blobs.written_at(key) >= before:
                    continue
            BlobDeletion.objects.enqueue(key=key)
            count += 1
    return count

"""Copies of large files at Google, shared by replies and deleted with the file."""

import logging
from time import monotonic

from django.db import connection
from django.utils import timezone

from files.models import File
from files.storage import blobs
from messaging.gemini import Cancellation, GeminiError, uploads
from messaging.models import GeminiUpload
from messaging.models.gemini_uploads import lease

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
# Copies of a sweep: a second each at most.
BATCH = 500


def copied_uri(file: File, cancelled: Cancellation) -> str:
    """Return the address of a copy of a file, of an earlier reply or new.

    The address of a file without bytes is empty. Of several replies one copies the file, and the
    others wait. Raises GeminiError, Cancelled and StorageUnavailable.
    """
    key = uploads.key_digest()
    ends_at = monotonic() + 2 * lease().total_seconds()
    while monotonic() < ends_at:
        if uri := GeminiUpload.objects.uri_of(file_id=file.pk, key=key):
            return uri
        if upload := GeminiUpload.objects.claim(file_id=file.pk, key=key):
            return _copy(file, upload, cancelled)
        connection.close()
        cancelled.wait(POLL_SECONDS)
        cancelled.raise_if_set()
    raise uploads.refused_upload()


def _copy(file: File, upload: GeminiUpload, cancelled: Cancellation) -> str:
    connection.close()
    uri = ""
    try:
        with blobs.opened(file.key) as stored:
            uri = uploads.upload(
                stored, name=upload.name, media_type=file.media_type, cancelled=cancelled
            )
    except blobs.BlobMissing:
        return ""
    finally:
        if uri:
            upload.finish(uri=uri)
        else:
            upload.give_up()
    return uri


def delete_unused() -> None:
    """Delete the copies without a use; a failed deletion waits for the next sweep.

    Google deletes a copy after 48 hours, so a copy of another key is left to Google.
    """
    key = uploads.key_digest()
    now = timezone.now()
    GeminiUpload.objects.deletable(now=now).exclude(key=key).delete()
    for upload in GeminiUpload.objects.deletable(now=now).order_by("pk")[:BATCH]:
        try:
            uploads.delete(upload.name)
        except GeminiError as error:
            logger.warning("A copy at Google waits for deletion: %s", error)
            return
        GeminiUpload.objects.filter(pk=upload.pk).delete()

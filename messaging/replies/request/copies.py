"""Copies of large files at Google, shared by replies and deleted with the file."""

import logging
from time import monotonic

from django.db import connection
from django.utils import timezone

from files.models import File
from files.storage import blobs
from messaging.gemini import Cancellation, GeminiError, files_api
from messaging.models import GeminiCopy
from messaging.models.gemini_copies import lease

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
# Copies of a sweep: a second each at most.
BATCH = 500


def copied_uri(file: File, cancelled: Cancellation) -> str:
    """Return the address of a copy of a file, of an earlier reply or new.

    The address of a file without bytes is empty. Of several replies one copies the file, and the
    others wait. Raises GeminiError, Cancelled and StorageUnavailable.
    """
    key = files_api.key_digest()
    ends_at = monotonic() + 2 * lease().total_seconds()
    while monotonic() < ends_at:
        if uri := GeminiCopy.objects.uri_of(file_id=file.pk, key=key):
            return uri
        if copy := GeminiCopy.objects.claim(file_id=file.pk, key=key):
            return _copy(file, copy, cancelled)
        connection.close()
        cancelled.wait(POLL_SECONDS)
        cancelled.raise_if_set()
    raise files_api.refused_upload()


def _copy(file: File, copy: GeminiCopy, cancelled: Cancellation) -> str:
    connection.close()
    uri = ""
    try:
        with blobs.opened(file.key) as stored:
            uri = files_api.upload(
                stored, name=copy.name, media_type=file.media_type, cancelled=cancelled
            )
    except blobs.BlobMissing:
        return ""
    finally:
        if uri:
            copy.finish(uri=uri)
        else:
            copy.give_up()
    return uri


def delete_unused() -> None:
    """Delete the copies without a use; a failed deletion waits for the next sweep.

    Google deletes a copy after 48 hours, so a copy of another key is left to Google.
    """
    key = files_api.key_digest()
    now = timezone.now()
    GeminiCopy.objects.deletable(now=now).exclude(key=key).delete()
    for copy in GeminiCopy.objects.deletable(now=now).order_by("pk")[:BATCH]:
        try:
            files_api.delete(copy.name)
        except GeminiError as error:
            logger.warning("A copy at Google waits for deletion: %s", error)
            return
        GeminiCopy.objects.filter(pk=copy.pk).delete()

"""The examinations of a worker: each claims a file, examines it, and stores the result.

A worker may die in any step. After the lease another worker repeats all steps, and after three
attempts the file is refused: no file kills workers for ever.
"""

import logging
import shutil
import tempfile
from functools import partial
from typing import IO

from django.conf import settings
from django.utils import timezone

from billing.plans import plan_for_user
from files import scanners
from files.examination.findings import Findings, Unfit
from files.examination.process import examine_in_process
from files.models import BlobDeletion, File
from files.models.files import MOST_ATTEMPTS
from files.statements import Examined, finish
from files.storage import blobs
from gemchat.serving.permits import NoPermit, Permits
from gemchat.stores.leases import renewed_lease

logger = logging.getLogger(__name__)

# A picture of 25 megapixels takes 100 MB, and a worker has hundreds of threads. A waiting thread
# sees a file that came after the last claim of the working threads.
permits = Permits(2, waiting=2, patience_seconds=600.0)
FILES_PER_TASK = 50


def examine_waiting() -> bool:
    """Examine files until none waits; True if more may wait."""
    try:
        with permits.taken():
            for _ in range(FILES_PER_TASK):
                file = File.objects.claim_next()
                if file is None:
                    return False
                if not examine(file):
                    return False
    except NoPermit:
        return False
    return True


def examine(file: File) -> bool:
    """Examine a claimed file; False if the storage, a disk or the scanner failed."""
    if file.attempt > MOST_ATTEMPTS:
        logger.error("File %s is refused: no examination came to an end", file.pk)
        file.refuse(File.Refusal.FILE_UNREADABLE)
        return True
    renew = partial(
        File.objects.renew_lease,
        file_id=file.pk,
        status=File.Status.RECEIVED,
        attempt=file.attempt,
    )
    try:
        folder = blobs.make_temporary_folder()
        with (
            renewed_lease(renew, every_seconds=settings.FILE_LEASE_SECONDS / 3),
            tempfile.TemporaryFile(dir=folder) as received,
            tempfile.TemporaryFile(dir=folder) as content,
            tempfile.TemporaryFile(dir=folder) as thumbnail,
        ):
            copy_received(file, received)
            found = inspect(file, received, content, thumbnail)
            store(file, found, content, thumbnail)
    except Unfit as unfit:
        file.refuse(File.Refusal(unfit.code))
    except (blobs.StorageUnavailable, scanners.ScannerUnavailable, OSError) as error:
        # An OSError is of a full disk under the temporary folder.
        logger.warning("The examination of %s waits: %s", file.pk, error)
        file.release()
        return False
    return True


def copy_received(file: File, received: IO[bytes]) -> None:
    """Copy the bytes from the storage. Raises Unfit, StorageUnavailable."""
    try:
        with blobs.opened(file.key) as stored:
            shutil.copyfileobj(stored, received)
    except blobs.BlobMissing as error:
        raise Unfit(File.Refusal.FILE_UNREADABLE) from error


def inspect(file: File, received: IO[bytes], content: IO[bytes], thumbnail: IO[bytes]) -> Findings:
    """Raises Unfit, ScannerUnavailable, OSError."""
    if scanners.is_infected(received):
        raise Unfit(File.Refusal.FILE_INFECTED)
    return examine_in_process(
        received, kind=file.kind, media_type=file.media_type, content=content, thumbnail=thumbnail
    )


def store(file: File, found: Findings, content: IO[bytes], thumbnail: IO[bytes]) -> None:
    """Store the examined bytes, then make the file ready. Raises Unfit, StorageUnavailable."""
    size = content.seek(0, 2)
    blobs.save(file.key, content)
    if file.kind == File.Kind.IMAGE:
        blobs.save(blobs.thumbnail_key(file.key), thumbnail)
    examined = Examined(size=size, **vars(found))
    limit = plan_for_user(file.user).storage_bytes
    if finish(file=file, found=examined, limit=limit, now=timezone.now()):
        return
    current = File.objects.filter(pk=file.pk).first()
    if current is None or current.status in (File.Status.DELETED, File.Status.REFUSED):
        # The bytes were written after the deletion of the file.
        BlobDeletion.objects.enqueue(key=file.key)
    else:
        file.refuse(File.Refusal.STORAGE_FULL)

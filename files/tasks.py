"""The tasks of workers, on the queue `files`. A task may run twice or late."""

import logging

from celery import shared_task
from django.utils import timezone

from files import deletions
from files.examination.run import examine_waiting
from files.models import File
from files.models.keys import FILES
from gemchat.celery import enqueue

logger = logging.getLogger(__name__)


@shared_task(name="files.tasks.examine")
def examine() -> None:
    """Examine the files that wait."""
    if examine_waiting():
        enqueue("files.tasks.examine")


@shared_task(name="files.tasks.sweep_uploads")
def sweep_uploads() -> None:
    """Give the space of dead uploads back, and examine the files of a lost task."""
    File.objects.delete_abandoned()
    if File.objects.waiting_count():
        enqueue("files.tasks.examine")


@shared_task(name="files.tasks.sweep_files")
def sweep_files() -> None:
    """Erase the files that no message uses any more, or has used for a day."""
    while File.objects.erase_due(now=timezone.now()):
        pass


@shared_task(name="files.tasks.delete_blobs")
def delete_blobs() -> int:
    """Delete the bytes of ended files and exports from the storage."""
    return deletions.delete_due()


@shared_task(name="files.tasks.delete_orphans")
def delete_orphans() -> None:
    """Delete bytes that no row names, each week."""
    count = deletions.delete_orphans(FILES, File.objects.all(), "pk")
    logger.info("Bytes without a file: %d", count)

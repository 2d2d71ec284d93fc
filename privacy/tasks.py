"""Celery tasks of export, erasure and retention."""

import logging
import uuid

from celery import shared_task

from accounts.models import Erasure
from files.deletions import delete_orphans
from gemchat.celery import enqueue
from privacy import erasure, export, retention
from privacy.models import EXPORTS, DataExport

logger = logging.getLogger(__name__)


@shared_task(name="privacy.tasks.build_export")
def build_export(export_id: str) -> None:
    """Make the file of an export."""
    export.build_export(export_id=uuid.UUID(export_id))


@shared_task(name="privacy.tasks.erase_user")
def erase_user(erasure_id: str) -> None:
    """Erase a user with a closed account."""
    if erasure.erase_user(erasure_id=uuid.UUID(erasure_id)):
        enqueue("privacy.tasks.erase_user", erasure_id, delay_seconds=erasure.REPLY_WAIT_SECONDS)


@shared_task(name="privacy.tasks.sweep_accounts")
def sweep_accounts() -> None:
    """Enqueue exports and erasures again after a lost task or a dead worker."""
    for export_id in DataExport.objects.due().values_list("pk", flat=True):
        enqueue("privacy.tasks.build_export", export_id)
    for erasure_id in Erasure.objects.due().values_list("pk", flat=True):
        enqueue("privacy.tasks.erase_user", erasure_id)


@shared_task(name="privacy.tasks.purge_expired")
def purge_expired() -> None:
    """Erase rows past their retention, each night."""
    logger.info("Purged %s", retention.purge_expired())


@shared_task(name="privacy.tasks.delete_orphaned_exports")
def delete_orphaned_exports() -> None:
    """Delete bytes that no export names, each week."""
    count = delete_orphans(EXPORTS, DataExport.objects.all(), "blob_id")
    logger.info("Bytes without an export: %d", count)

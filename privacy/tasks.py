"""Export and erase people's data, and what is past its time: the work of Celery workers."""

import logging
import uuid

from celery import shared_task
from django.db import connection

from accounts.models import Erasure
from gemchat.celery import enqueue
from privacy import erasure, export, retention
from privacy.models import DataExport

logger = logging.getLogger(__name__)


@shared_task(name="privacy.tasks.build_export")
def build_export(export_id: str) -> None:
    """Make the file of an export that was asked for."""
    try:
        export.build_export(export_id=uuid.UUID(export_id))
    finally:
        connection.close()


@shared_task(name="privacy.tasks.erase_user")
def erase_user(erasure_id: str) -> None:
    """Erase a user whose account is closed."""
    try:
        if erasure.erase_user(erasure_id=uuid.UUID(erasure_id)):
            enqueue(
                "privacy.tasks.erase_user", erasure_id, delay_seconds=erasure.REPLY_WAIT_SECONDS
            )
    finally:
        connection.close()


@shared_task(name="privacy.tasks.sweep_accounts")
def sweep_accounts() -> None:
    """Send the exports and erasures that the queue has lost, or a worker died over."""
    for export_id in DataExport.objects.due().values_list("pk", flat=True):
        enqueue("privacy.tasks.build_export", export_id)
    for erasure_id in Erasure.objects.due().values_list("pk", flat=True):
        enqueue("privacy.tasks.erase_user", erasure_id)


@shared_task(name="privacy.tasks.purge_expired")
def purge_expired() -> None:
    """Erase what is past its time, each night."""
    logger.info("Purged %s", retention.purge_expired())

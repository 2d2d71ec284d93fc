"""Tasks of accounts: sending codes."""

import logging
import uuid
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from prometheus_client import Counter

from accounts.models import OneTimeCode
from accounts.sms import SmsError, backend
from gemchat.celery import enqueue

logger = logging.getLogger(__name__)

DELIVER_CODE = "accounts.tasks.deliver_code"

# While codes go out and few come back, texts do not arrive, or somebody runs up the bill.
CODE_DELIVERIES = Counter(
    "gemchat_code_deliveries", "One-time codes handed to the SMS vendor.", ["outcome"]
)

DELIVERY_TRIES = 5
FIRST_BACKOFF_SECONDS = 2
# A code still unclaimed after this time is lost between queue and task.
SWEEP_AFTER = timedelta(seconds=10)
MESSAGE = "{digits} is your GemChatRoom code. It ends in {minutes} minutes. Give it to nobody."


@shared_task
def deliver_code(code_id: str) -> None:
    """Send a code by SMS, once: only the task with the claim sends."""
    code = OneTimeCode.objects.claim_delivery(uuid.UUID(code_id))
    if code is None:
        return
    # The vendor may take seconds; other tasks of this process can use the connection meanwhile.
    connection.close()
    minutes = round(settings.OTP_LIFETIME.total_seconds() / 60)
    try:
        backend().send(to=code.mobile, body=MESSAGE.format(digits=code.digits, minutes=minutes))
    except SmsError as error:
        _record_failure(code, error)
    else:
        code.record_sent()
        CODE_DELIVERIES.labels("sent").inc()


def _record_failure(code: OneTimeCode, error: SmsError) -> None:
    CODE_DELIVERIES.labels("failed").inc()
    if error.permanent or code.delivery_tries >= DELIVERY_TRIES:
        logger.error("Code %s could not be sent: %s", code.pk, error)
        code.record_failure(error=str(error), retry_after=None)
        return
    backoff_seconds = FIRST_BACKOFF_SECONDS * 2 ** (code.delivery_tries - 1)
    code.record_failure(error=str(error), retry_after=timedelta(seconds=backoff_seconds))
    enqueue(DELIVER_CODE, code.pk, delay_seconds=backoff_seconds)


@shared_task
def sweep_codes() -> None:
    """Send codes again after a loss in the queue, or the death of a worker."""
    due = OneTimeCode.objects.due_for_delivery()
    lost = due.filter(next_delivery_at__lt=Now() - SWEEP_AFTER)
    for code_id in lost.values_list("pk", flat=True):
        enqueue(DELIVER_CODE, code_id)

"""Retries of failed replies by staff: same rows, no cost to the user's quota."""

import uuid
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from gemchat.api.errors import DomainError
from gemchat.stores.uuid7 import uuid7_at
from messaging.models import Message
from messaging.replies.queue import enqueue_reply
from messaging.streaming.buffer import delete_buffers


class NotFailed(DomainError):
    code = "reply_not_failed"
    message = "This reply is not there as failed: it is being made again, or its room is gone."
    status = 409


def retry(*, reply_id: uuid.UUID) -> None:
    """Queue a failed reply again; of several calls at once, a single call succeeds.

    Raises NotFailed in the other calls.
    """
    with transaction.atomic():
        if not Message.objects.requeue_failed(reply_id=reply_id):
            raise NotFailed
        transaction.on_commit(partial(_enqueue, reply_id))


def _enqueue(reply_id: uuid.UUID) -> None:
    # The old end in the buffer would hide the new text from readers.
    delete_buffers([reply_id])
    enqueue_reply(reply_id)


def failed_replies(*, since: datetime | None, code: str) -> QuerySet[Message]:
    """List retryable failed replies, oldest first; `since` is a time of creation."""
    failed = Message.objects.filter(status=Message.Status.FAILED, chatroom__deleted_at=None)
    if since:
        failed = failed.filter(pk__gte=uuid7_at(since))
    if code:
        failed = failed.filter(error_code=code)
    return failed.order_by("id")

"""Failed replies made again, by staff: as the same rows, at no cost to the user's quota."""

import uuid
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from gemchat.api.errors import DomainError
from gemchat.stores.uuid7 import uuid7_at
from messaging.models import Message
from messaging.streaming.buffer import delete_buffers
from messaging.tasks import send_to_queue


class NotFailed(DomainError):
    code = "reply_not_failed"
    message = "This reply is not there as failed: it is being made again, or its room is gone."
    status = 409


def retry(*, reply_id: uuid.UUID) -> None:
    """Have a failed reply made again. However many ask at once, it is made once.

    Raises NotFailed for whoever comes second.
    """
    with transaction.atomic():
        if not Message.objects.make_again(reply_id=reply_id):
            raise NotFailed
        transaction.on_commit(partial(_enqueue, reply_id))


def _enqueue(reply_id: uuid.UUID) -> None:
    # The old end would keep readers from the text that comes.
    delete_buffers([reply_id])
    send_to_queue(reply_id)


def failed_replies(*, since: datetime | None, code: str) -> QuerySet[Message]:
    """Those that can be made again, oldest first; `since` is when they were asked for."""
    failed = Message.objects.filter(status=Message.Status.FAILED, chatroom__deleted_at=None)
    if since:
        failed = failed.filter(pk__gte=uuid7_at(since))
    if code:
        failed = failed.filter(error_code=code)
    return failed.order_by("id")

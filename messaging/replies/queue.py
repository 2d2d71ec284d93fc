"""The queue of replies, and of erasures of rooms."""

import uuid

from django.utils import timezone

from gemchat.celery import enqueue
from messaging.models import Message
from messaging.replies.claims import claimable_ids


def enqueue_reply(reply_id: uuid.UUID) -> None:
    """Enqueue a reply. If the broker is down, the sweep enqueues the reply later."""
    if not enqueue("messaging.tasks.generate_reply", reply_id):
        Message.objects.filter(pk=reply_id, status=Message.Status.QUEUED).update(
            resend_at=timezone.now()
        )


def enqueue_next(user_id: uuid.UUID) -> None:
    """Enqueue the next replies of a user, as many as may run now."""
    for reply_id in claimable_ids(user_id=user_id, now=timezone.now()):
        enqueue_reply(reply_id)


def enqueue_room_erasure(chatroom_id: uuid.UUID) -> None:
    """Enqueue the erasure of a deleted room."""
    enqueue("messaging.tasks.erase_room", chatroom_id)

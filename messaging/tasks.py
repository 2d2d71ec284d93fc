"""The tasks of workers. Every task may run twice, or late, or after the end of its reply."""

import logging
import uuid
from contextlib import suppress

from celery import Task, shared_task
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError

from chatrooms.models import Chatroom
from messaging.conversation.deletion import erase_room
from messaging.conversation.titles import title_room
from messaging.models import Message
from messaging.replies.claims import claimable_ids
from messaging.replies.generation import generate
from messaging.replies.requeue import requeue_expired

logger = logging.getLogger(__name__)

# At a time, so that a queue without workers does not fill up.
SWEPT_ROOMS = 1_000


@shared_task(name="messaging.tasks.generate_reply")
def generate_reply(reply_id: str) -> None:
    """Generate a reply, then enqueue the replies that waited for it."""
    try:
        reply = generate(reply_id=uuid.UUID(reply_id))
        if reply is not None:
            enqueue_next(reply.user_id)
            if reply.status == Message.Status.COMPLETE and reply.chatroom.is_untitled:
                # With the broker down the room is named after its next exchange.
                with suppress(OperationalError):
                    name_room.delay(str(reply.chatroom_id))
    finally:
        # This thread may wait long for its next task; the pool has use for the connection.
        connection.close()


@shared_task(name="messaging.tasks.name_room")
def name_room(chatroom_id: str) -> None:
    """Name a room after its first exchange."""
    try:
        title_room(chatroom_id=uuid.UUID(chatroom_id))
    finally:
        connection.close()


@shared_task(name="messaging.tasks.sweep_replies")
def sweep_replies() -> dict[str, int]:
    """Enqueue the replies that the queue has lost, so that its loss is harmless."""
    now = timezone.now()
    taken_back = requeue_expired(now=now)
    unsent = Message.objects.claim_unsent(now=now)
    for reply_id in [*taken_back, *unsent]:
        enqueue_reply(reply_id)
    return {"taken_back": len(taken_back), "unsent": len(unsent)}


@shared_task(name="messaging.tasks.erase_room")
def erase(chatroom_id: str) -> None:
    """Erase a room that was deleted."""
    try:
        erase_room(chatroom_id=uuid.UUID(chatroom_id))
    finally:
        connection.close()


@shared_task(name="messaging.tasks.sweep_rooms")
def sweep_rooms() -> None:
    """Delete expired temporary rooms, and enqueue the erasure of deleted rooms."""
    now = timezone.now()
    Chatroom.objects.expired(now=now).mark_deleted(now=now)
    for chatroom_id in Chatroom.objects.deleted().values_list("pk", flat=True)[:SWEPT_ROOMS]:
        enqueue_room_erasure(chatroom_id)


def enqueue(task: Task, row_id: uuid.UUID | str, *, delay_seconds: float | None = None) -> None:
    """Enqueue a task for a row. If the broker is down, the sweep enqueues it later."""
    try:
        task.apply_async([str(row_id)], countdown=delay_seconds)
    except OperationalError:
        logger.warning("The broker is down; %s of %s waits for the sweep", task.name, row_id)


def enqueue_room_erasure(chatroom_id: uuid.UUID) -> None:
    """Enqueue the erasure of a deleted room."""
    enqueue(erase, chatroom_id)


def enqueue_next(user_id: uuid.UUID) -> None:
    """Enqueue the next replies of a user, as many as may run now."""
    for reply_id in claimable_ids(user_id=user_id, now=timezone.now()):
        enqueue_reply(reply_id)


def enqueue_reply(reply_id: uuid.UUID) -> None:
    """Enqueue a reply. If the broker is down, the sweep enqueues it later."""
    try:
        generate_reply.delay(str(reply_id))
    except OperationalError:
        logger.warning("The broker is down; reply %s waits for the sweep", reply_id)
        Message.objects.filter(pk=reply_id, status=Message.Status.QUEUED).update(
            resend_at=timezone.now()
        )

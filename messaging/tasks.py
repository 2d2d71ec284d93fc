"""The tasks of workers. A task may run twice, late, or after the reply's end."""

import logging
import uuid
from contextlib import suppress

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from chatrooms.models import Chatroom
from gemchat.stores.errors import DATABASE_ERRORS
from messaging.conversation.deletion import erase_room
from messaging.conversation.titles import UNANSWERED, title_room, title_unanswered_room
from messaging.gemini import GeminiError
from messaging.gemini.model_list import has_model_list, listed_models
from messaging.models import Message, ModelFinding, compare
from messaging.replies.generation import generate
from messaging.replies.queue import enqueue_next, enqueue_reply, enqueue_room_erasure
from messaging.replies.request.copies import delete_unused
from messaging.replies.requeue import requeue_expired

logger = logging.getLogger(__name__)

# Per sweep, so a queue without workers does not fill up.
SWEPT_ROOMS = 1_000


@shared_task(name="messaging.tasks.generate_reply")
def generate_reply(reply_id: str) -> None:
    """Generate a reply, then enqueue the waiting replies of the user."""
    try:
        reply = generate(reply_id=uuid.UUID(reply_id))
    except DATABASE_ERRORS:
        raise
    except Exception:
        # The reply has failed, and the room needs a title all the same.
        title_unanswered_room(reply_id=uuid.UUID(reply_id))
        raise
    if reply is not None:
        enqueue_next(reply.user_id)
        if reply.status in UNANSWERED:
            title_unanswered_room(reply_id=reply.pk)
        elif reply.status == Message.Status.COMPLETE and reply.chatroom.is_untitled:
            # If the broker is down, the room is named after the next exchange.
            with suppress(OperationalError):
                name_room.delay(str(reply.chatroom_id))


@shared_task(name="messaging.tasks.name_room")
def name_room(chatroom_id: str) -> None:
    """Name a room after the first exchange."""
    title_room(chatroom_id=uuid.UUID(chatroom_id))


@shared_task(name="messaging.tasks.sweep_replies")
def sweep_replies() -> dict[str, int]:
    """Enqueue the replies lost by the queue, so a loss is harmless."""
    now = timezone.now()
    taken_back = requeue_expired(now=now)
    unsent = Message.objects.claim_unsent(now=now)
    for reply_id in [*taken_back, *unsent]:
        enqueue_reply(reply_id)
    return {"taken_back": len(taken_back), "unsent": len(unsent)}


@shared_task(name="messaging.tasks.erase_room")
def erase(chatroom_id: str) -> None:
    """Erase a deleted room."""
    erase_room(chatroom_id=uuid.UUID(chatroom_id))


@shared_task(name="messaging.tasks.sweep_rooms")
def sweep_rooms() -> None:
    """Delete expired temporary rooms, and enqueue the erasure of deleted rooms."""
    now = timezone.now()
    Chatroom.objects.expired(now=now).mark_deleted(now=now)
    for chatroom_id in Chatroom.objects.deleted().values_list("pk", flat=True)[:SWEPT_ROOMS]:
        enqueue_room_erasure(chatroom_id)


@shared_task(name="messaging.tasks.delete_copies")
def delete_copies() -> None:
    """Delete the copies at Google of files that are gone, and failed copies."""
    delete_unused()


@shared_task(name="messaging.tasks.sync_models")
def sync_models() -> None:
    """Store the differences between the table of models and Google's list."""
    if not has_model_list():
        return
    try:
        listed = listed_models()
    except GeminiError as error:
        # The findings of an earlier night stay.
        logger.warning("The models were not compared with Google's list: %s", error.detail)
        return
    ModelFinding.objects.replace(compare(listed, on=timezone.now().date()))

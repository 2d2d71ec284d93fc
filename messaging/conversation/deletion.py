"""Erases what was said in rooms that were deleted, piece by piece, in the background."""

import uuid

from django.db import connection, transaction

from chatrooms.models import Chatroom
from messaging.models import Message, MessageQuerySet
from messaging.streaming.buffer import Position, delete_buffers, publish_end, publish_stop

# A fraction of a second's work, so that nobody waits long for a lock or for the task to end.
BATCH = 2_000
# The newest of a room with all that follows upon them: no message may lose its parent, and the
# order of ids is not always that of the tree, where the clocks of two machines differ. By an
# array, as the planner expects more rows of a recursion, and would read the table for a join.
ERASE_NEWEST = """
WITH RECURSIVE erased (id) AS (
    (SELECT id FROM messaging_message WHERE chatroom_id = %s ORDER BY id DESC LIMIT %s)
    UNION
    SELECT below.id FROM erased JOIN messaging_message below ON below.parent_id = erased.id
)
DELETE FROM messaging_message WHERE id = ANY (ARRAY(SELECT id FROM erased)) RETURNING id
"""


def erase_room(*, chatroom_id: uuid.UUID) -> None:
    """Erase a deleted room.

    Ends early when another task is at it, or while a worker has one of its replies, whose use of
    tokens is yet to be recorded; the sweep then comes back to it.
    """
    stop_replies(Message.objects.filter(chatroom=chatroom_id))
    while erase_batch(chatroom_id):
        pass


def stop_replies(messages: MessageQuerySet) -> None:
    """End those that are under way, or ask their workers to."""
    for reply in messages.active():
        if Message.objects.stop_queued(reply=reply):
            publish_end(reply.pk, Position(reply.attempt + 1, 0))
        elif Message.objects.request_stop(reply=reply):
            publish_stop(reply.pk)


def erase_batch(chatroom_id: uuid.UUID) -> bool:
    """Erase some of a room's messages, or at last the room; False if there is no more to do."""
    with transaction.atomic():
        # The lock keeps two tasks from erasing the same messages.
        rooms = Chatroom.objects.deleted().select_for_update(skip_locked=True)
        room = rooms.filter(pk=chatroom_id).first()
        if room is None or Message.objects.active().filter(chatroom=room).exists():
            return False
        with connection.cursor() as cursor:
            cursor.execute(ERASE_NEWEST, [room.pk, BATCH])
            erased = [message_id for (message_id,) in cursor.fetchall()]
        if not erased:
            room.delete()
    delete_buffers(erased)
    return bool(erased)

"""Erase the messages of deleted rooms in batches, in the background."""

import uuid

from django.db import connection, transaction

from chatrooms.models import Chatroom
from messaging.models import Message, MessageQuerySet
from messaging.streaming.buffer import Position, delete_buffers, publish_end, publish_stop

# The work of a fraction of a second, so nobody waits long for a lock or for the end of the task.
BATCH = 2_000
# Selects the newest messages of a room with all descendants: no message may lose the parent. The
# order of ids may differ from the order of the tree, where the clocks of two machines differ. The
# ids are in an array. In a join the planner expects more rows of a recursion, and would read the
# table.
ERASE_NEWEST = """
WITH RECURSIVE erased (id) AS (
    (SELECT id FROM messaging_message WHERE chatroom_id = %s ORDER BY id DESC LIMIT %s)
    UNION
    SELECT below.id FROM erased JOIN messaging_message below ON below.parent_id = erased.id
), ids AS MATERIALIZED (
    SELECT ARRAY(SELECT id FROM erased) AS found
), without_files AS (
    DELETE FROM messaging_messagefile WHERE message_id = ANY ((SELECT found FROM ids)::uuid[])
)
DELETE FROM messaging_message WHERE id = ANY ((SELECT found FROM ids)::uuid[]) RETURNING id
"""


def erase_room(*, chatroom_id: uuid.UUID) -> None:
    """Erase a deleted room.

    Ends early while another task erases the room. Ends early, too, while a worker has a reply of
    the room, since the token usage of the reply is not recorded yet. The sweep then enqueues the
    room again.
    """
    stop_replies(Message.objects.filter(chatroom=chatroom_id))
    while erase_batch(chatroom_id):
        pass


def stop_replies(messages: MessageQuerySet) -> None:
    """End queued replies, and ask workers to end replies in generation."""
    for reply in messages.active():
        if Message.objects.stop_queued(reply=reply):
            publish_end(reply.pk, Position(reply.attempt + 1, 0))
        elif Message.objects.request_stop(reply=reply):
            publish_stop(reply.pk)


def erase_batch(chatroom_id: uuid.UUID) -> bool:
    """Erase a batch of a room's messages, or at last the room; False if done."""
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

"""Rooms and messages for the tests of this app."""

import uuid
from datetime import UTC, datetime

from accounts.models import User
from chatrooms.models import Chatroom
from messaging.conversation import actions
from messaging.models import Message


def make_room(user: User, **fields: object) -> Chatroom:
    return Chatroom.objects.create_room(user=user, **fields)


def url_of(room: Chatroom | uuid.UUID) -> str:
    return f"/api/v1/message/chatroom/{getattr(room, 'pk', room)}/message"


def complete(reply: Message, text: str = "Indeed.") -> Message:
    """End a reply as a worker would have."""
    now = datetime.now(UTC)
    Message.objects.filter(pk=reply.pk).update(
        status=Message.Status.COMPLETE, content=text, ended_at=now, resend_at=None, attempt=1
    )
    reply.refresh_from_db()
    return reply


def exchange(room: Chatroom, prompt: str = "Hello", answer: str = "Indeed.") -> Message:
    """A whole turn at the end of the room; returns its reply."""
    accepted = actions.post_message(user=room.user, chatroom_id=room.pk, prompt=prompt)
    return complete(accepted.reply, answer)

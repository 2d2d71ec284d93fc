"""Run tasks as a worker does."""

import threading
from collections.abc import Callable
from typing import Any

from chatrooms.models import Chatroom
from messaging.conversation import actions
from messaging.models import Message
from messaging.tasks import generate_reply


def post(room: Chatroom, prompt: str = "Hello") -> Message:
    return actions.post_message(user=room.user, chatroom_id=room.pk, prompt=prompt).reply


def in_thread(function: Callable[..., Any], *args: Any) -> threading.Thread:
    """Run the work of a worker's thread, with a separate database connection."""
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def run(reply: Message) -> Message:
    """Do the reply's task as a worker does, and return the row afterwards."""
    thread = in_thread(generate_reply, str(reply.pk))
    thread.join(30)
    assert not thread.is_alive(), "the reply's task did not end"
    reply.refresh_from_db()
    return reply

"""Compiled queries of single messages, for every stream and every waiting read."""

import uuid
from functools import cache

from accounts.models import User
from gemchat.stores.statements import CompiledQuery
from messaging.models.messages import Message


def message_or_raise(message_id: uuid.UUID) -> Message:
    """Read a message; raises Message.DoesNotExist."""
    return _existing(_messages().get_or_none([message_id]))


def own_message_or_raise(*, user_id: uuid.UUID, message_id: uuid.UUID | str) -> Message:
    """Read a message of a user's rooms; raises Message.DoesNotExist."""
    return _existing(_messages_of_users().get_or_none([user_id, message_id]))


def _existing(message: Message | None) -> Message:
    if message is None:
        raise Message.DoesNotExist
    return message


@cache
def _messages() -> CompiledQuery[Message]:
    return CompiledQuery(Message.objects.filter(pk=uuid.UUID(int=1)))


@cache
def _messages_of_users() -> CompiledQuery[Message]:
    user = User(pk=uuid.UUID(int=1))
    return CompiledQuery(Message.objects.owned_by(user).filter(pk=uuid.UUID(int=2)))

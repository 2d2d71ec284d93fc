"""The messages of a user, as files of an export."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import User
from accounts.personal_data import ExportSection
from chatrooms.models import Chatroom
from messaging.models import Message, MessageFile


def export_sections(user: User) -> list[ExportSection]:
    # By the user as well: the index on the user has the messages in order, at any number.
    messages = Message.objects.filter(user=user, chatroom__in=Chatroom.objects.permanent(user))
    files = MessageFile.objects.filter(file__user=user, message__chatroom__expires_at=None)
    return [ExportSection("messages", messages), ExportSection("message_files", files)]


def temporary_files(user: User) -> QuerySet[Any]:
    """Return the ids of files that are in temporary chatrooms alone."""
    uses = MessageFile.objects.filter(file__user=user)
    lasting = uses.filter(file=OuterRef("file"), message__chatroom__expires_at=None)
    return uses.filter(~Exists(lasting)).values("file_id")

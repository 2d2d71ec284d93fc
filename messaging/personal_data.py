"""The messages of a user, as a file of an export."""

from accounts.models import User
from accounts.personal_data import ExportSection
from chatrooms.models import Chatroom
from messaging.models import Message


def export_sections(user: User) -> list[ExportSection]:
    # By the user as well: the index on the user has the messages in order, at any number.
    messages = Message.objects.filter(user=user, chatroom__in=Chatroom.objects.permanent(user))
    return [ExportSection("messages", messages)]

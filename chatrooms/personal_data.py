"""The chatrooms of a user, as a file of an export."""

from accounts.models import User
from accounts.personal_data import ExportSection
from chatrooms.models import Chatroom


def export_sections(user: User) -> list[ExportSection]:
    return [ExportSection("chatrooms", Chatroom.objects.permanent(user))]

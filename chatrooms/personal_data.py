"""What chatrooms keep about a user, as a file of an export."""

from accounts.models import User
from accounts.personal_data import Section
from chatrooms.models import Chatroom


def chatroom_sections(user: User) -> list[Section]:
    return [Section("chatrooms", Chatroom.objects.permanent(user))]

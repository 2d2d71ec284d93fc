from typing import Any

from accounts.auth.sessions import end_all_sessions
from accounts.cli import COMMAND, UserCommand
from accounts.models import Session, User


class Command(UserCommand):
    help = "End every session of a user, who may sign in again."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        ended = end_all_sessions(user=user, reason=Session.Ending.ENDED_BY_STAFF, actor=COMMAND)
        return {"sessions_ended": ended}

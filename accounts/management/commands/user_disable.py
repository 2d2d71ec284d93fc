from typing import Any

from accounts.cli import UserCommand, record
from accounts.models import User
from accounts.models.audit import AccountAction


class Command(UserCommand):
    help = "Shut a user out: every session ends, and no sign-in succeeds until user_enable."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        user.disable()
        record(AccountAction.USER_DISABLED, user)
        return {"is_active": user.is_active}

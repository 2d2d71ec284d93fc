from typing import Any

from accounts.cli import COMMAND, UserCommand
from accounts.models import AuditEvent, User
from accounts.models.audit import AccountAction


class Command(UserCommand):
    help = "Shut a user out: every session ends, and no sign-in succeeds until user_enable."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        user.disable()
        AuditEvent.objects.record(
            AccountAction.USER_DISABLED, user_id=user.pk, mobile=user.mobile, actor=COMMAND
        )
        return {"is_active": user.is_active}

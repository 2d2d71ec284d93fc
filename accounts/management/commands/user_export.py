from typing import Any

from accounts.console import UserCommand, record
from accounts.erasure import export_account
from accounts.models import AuditEvent, User


class Command(UserCommand):
    help = "Show all that accounts keep about a user. --json for what a machine can read."

    def report_on_user(self, user: User, **options: Any) -> dict[str, Any]:
        record(AuditEvent.Action.USER_EXPORTED, user)
        return export_account(user)

from typing import Any

from django.core.management.base import CommandError

from accounts.cli import COMMAND, UserCommand
from accounts.models import AuditEvent, User
from accounts.models.audit import AccountAction


class Command(UserCommand):
    help = "Let a disabled user sign in again."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        if not user.enable():
            raise CommandError("This user is being erased, which cannot be undone.")
        AuditEvent.objects.record(
            AccountAction.USER_ENABLED, user_id=user.pk, mobile=user.mobile, actor=COMMAND
        )
        return {"is_active": user.is_active}

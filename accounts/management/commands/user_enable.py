from typing import Any

from django.core.management.base import CommandError

from accounts.cli import UserCommand, record
from accounts.models import User
from accounts.models.audit import AccountAction


class Command(UserCommand):
    help = "Let a disabled user sign in again."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        if not user.enable():
            raise CommandError("This user is being erased, which cannot be undone.")
        record(AccountAction.USER_ENABLED, user)
        return {"is_active": user.is_active}

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.console import COMMAND, UserCommand
from accounts.erasure import erase_account
from accounts.models import User


class Command(UserCommand):
    help = "Erase a user and all that belongs to it, for ever. Needs --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="do it: nothing can be undone")

    def report_on_user(self, user: User, **options: Any) -> dict[str, Any]:
        if not options["yes"]:
            raise CommandError(f"This erases {user.mobile} for ever; add --yes to do it.")
        user_id = user.pk
        erase_account(user, actor=COMMAND)
        return {"id": user_id, "deleted": True}

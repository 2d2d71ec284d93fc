from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.console import COMMAND, UserCommand
from accounts.erasure import erase_account
from accounts.models import User
from billing.checkout import cancel_for_erasure
from gemchat.errors import DomainError


class Command(UserCommand):
    help = "Erase a user and all that belongs to it, for ever. Needs --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="do it: nothing can be undone")

    def report_on_user(self, user: User, **options: Any) -> dict[str, Any]:
        if not options["yes"]:
            raise CommandError(f"This erases {user.mobile} for ever; add --yes to do it.")
        user_id = user.pk
        try:
            # First, or Stripe would go on charging somebody whom nobody here knows any more.
            cancel_for_erasure(user)
        except DomainError as error:
            raise CommandError(f"Nothing was erased: {error}") from error
        erase_account(user, actor=COMMAND)
        return {"id": user_id, "deleted": True}

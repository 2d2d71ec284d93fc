from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.auth.closing import close_account
from accounts.cli import COMMAND, UserCommand
from accounts.models import Erasure, User
from privacy.erasure import erase_user


class Command(UserCommand):
    help = "Erase a user and all that belongs to it, for ever. Needs --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--yes", action="store_true", help="do it: nothing can be undone")

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        if not options["yes"]:
            raise CommandError(f"This erases {user.mobile} for ever; add --yes to do it.")
        user_id = user.pk
        erasure = close_account(user=user, actor=COMMAND)
        # What an earlier try was put off for may be over.
        erasure.put_off(until=erasure.requested_at)
        erase_user(erasure_id=erasure.pk)
        left = Erasure.objects.filter(pk=erasure.pk).first()
        if left is not None:
            raise CommandError(
                "The account is closed and not erased yet; that is tried again by itself."
                f" {left.error or 'A worker is at it.'}"
            )
        return {"id": user_id, "deleted": True}

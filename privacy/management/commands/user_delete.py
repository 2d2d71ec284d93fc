from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.auth.closing import close_account
from accounts.cli import COMMAND, UserCommand, add_yes, confirm
from accounts.models import Erasure, User
from privacy.erasure import erase_user


class Command(UserCommand):
    help = "Erase a user with all data, for ever. Asks, or needs --yes."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_yes(parser)

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        confirm(f"This erases {user.mobile} for ever.", yes=options["yes"])
        user_id = user.pk
        erasure = close_account(user=user, actor=COMMAND)
        # The cause of an earlier delay may be over.
        erasure.put_off(seconds=0)
        erase_user(erasure_id=erasure.pk)
        left = Erasure.objects.filter(pk=erasure.pk).first()
        if left is not None:
            raise CommandError(
                "The account is closed and not erased yet; the sweep retries the erasure."
                f" {left.error or 'A worker is erasing it.'}"
            )
        return {"id": user_id, "deleted": True}

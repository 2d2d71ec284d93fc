import uuid
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.auth.absence import NotRestorable, restore
from accounts.cli import COMMAND, MobileCommand


class Command(MobileCommand):
    help = "Give an account that lost its number back, under another number, within 30 days."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--id", required=True, type=uuid.UUID, help="the id of the account")

    def run_for_mobile(self, mobile: str, **options: Any) -> dict[str, Any]:
        try:
            user = restore(user_id=options["id"], mobile=mobile, actor=COMMAND)
        except NotRestorable as error:
            raise CommandError(str(error)) from error
        return {"id": str(user.pk), "is_active": user.is_active}

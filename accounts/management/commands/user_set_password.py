import sys
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.api.serializers import LONGEST_PASSWORD
from accounts.cli import COMMAND, UserCommand, add_yes, confirm
from accounts.models import AuditEvent, Session, User
from accounts.models.audit import AccountAction


class Command(UserCommand):
    help = (
        "Set a user's password and end every session. The password is asked for, or read as one"
        " line from standard input: as an argument it would show in the list of processes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_yes(parser)

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        sessions = Session.objects.filter(user=user).active().count()
        confirm(
            f"This replaces the password of {user.mobile} and ends {sessions} sessions.",
            yes=options["yes"],
        )
        password = getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        if len(password) > LONGEST_PASSWORD:
            raise CommandError(f"The password has more than {LONGEST_PASSWORD} characters.")
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        with transaction.atomic():
            user.change_password(password)
            AuditEvent.objects.record(
                AccountAction.PASSWORD_CHANGED, user_id=user.pk, mobile=user.mobile, actor=COMMAND
            )
        return {"has_password": True}

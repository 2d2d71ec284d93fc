import sys
from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import transaction

from accounts.api.serializers import LONGEST_PASSWORD
from accounts.cli import COMMAND, UserCommand
from accounts.models import AuditEvent, User
from accounts.models.audit import AccountAction


class Command(UserCommand):
    help = (
        "Set a user's password and end every session. The password is asked for, or read as one"
        " line from standard input: as an argument it would show in the list of processes."
    )

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
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

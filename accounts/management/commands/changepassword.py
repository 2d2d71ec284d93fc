from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.db import transaction

from accounts.cli import COMMAND, typed_mobile
from accounts.models import AuditEvent, Session, User
from accounts.models.audit import AccountAction


class Command(changepassword.Command):
    """Django's command, plus an end of every session and a line in the audit log."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        options["username"] = typed_mobile(options["username"])
        answer = super().handle(*args, **options)
        # Raised before, if there is no such user.
        user = User.objects.get(mobile=options["username"])
        with transaction.atomic():
            Session.objects.filter(user=user).end(Session.Ending.PASSWORD_CHANGED)
            AuditEvent.objects.record(
                AccountAction.PASSWORD_CHANGED, user_id=user.pk, mobile=user.mobile, actor=COMMAND
            )
        return answer

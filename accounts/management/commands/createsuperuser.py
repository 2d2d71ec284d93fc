from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from accounts.cli import COMMAND
from accounts.models import AuditEvent, User
from accounts.models.audit import AccountAction


class Command(createsuperuser.Command):
    """Django's command, with a line in the audit log."""

    def handle(self, *args: Any, **options: Any) -> None:
        before = set(superusers())
        super().handle(*args, **options)
        for user in User.objects.filter(pk__in=set(superusers()) - before):
            AuditEvent.objects.record(
                AccountAction.SUPERUSER_CREATED, user_id=user.pk, mobile=user.mobile, actor=COMMAND
            )


def superusers() -> Any:
    return User.objects.filter(is_superuser=True).values_list("pk", flat=True)

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from accounts.cli import COMMAND, typed_mobile
from accounts.models import AuditEvent, User
from accounts.models.audit import AccountAction


class Command(createsuperuser.Command):
    """Django's command, with a line in the audit log."""

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mobile"]:
            options["mobile"] = typed_mobile(options["mobile"])
        before = set(superusers())
        super().handle(*args, **options)
        for user in User.objects.filter(pk__in=set(superusers()) - before):
            AuditEvent.objects.record(
                AccountAction.SUPERUSER_CREATED, user_id=user.pk, mobile=user.mobile, actor=COMMAND
            )

    def get_input_data(self, field: Any, message: str, default: Any = None) -> Any:
        answer = super().get_input_data(field, message, default)
        return typed_mobile(answer) if answer and field is self.username_field else answer


def superusers() -> Any:
    return User.objects.filter(is_superuser=True).values_list("pk", flat=True)

from base64 import b32encode
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.cli import COMMAND, UserCommand, add_yes, confirm
from accounts.models import AuditEvent, User
from accounts.models.audit import AccountAction


class Command(UserCommand):
    help = (
        "Set up the second factor of a member of staff. Prints its secret only once: enter the"
        " secret, or the otpauth URI, in an authenticator app."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_yes(parser)

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        if not user.is_staff:
            raise CommandError(f"{user.mobile} is not a member of staff.")
        devices = TOTPDevice.objects.filter(user=user)
        if devices.exists():
            confirm(f"This replaces the second factor of {user.mobile}.", yes=options["yes"])
        with transaction.atomic():
            devices.delete()
            device = TOTPDevice.objects.create(user=user, name="authenticator", confirmed=True)
            AuditEvent.objects.record(
                AccountAction.SECOND_FACTOR_SET, user_id=user.pk, mobile=user.mobile, actor=COMMAND
            )
        return {"secret": b32encode(device.bin_key).decode(), "uri": device.config_url}

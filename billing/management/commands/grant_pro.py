from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.cli import COMMAND, UserCommand
from accounts.models import AuditEvent, User
from billing.entitlement import grant_pro
from billing.models import BillingAction


class Command(UserCommand):
    help = "Make a user Pro for some days, without Stripe."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--days", type=int, required=True, help="for how long, from now")
        parser.add_argument("--reason", required=True, help="kept with the grant")

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        if not 1 <= options["days"] <= 3660:
            raise CommandError("--days must be from 1 to 3660.")
        if not 1 <= len(options["reason"]) <= 200:
            raise CommandError("--reason must have 1 to 200 characters.")
        until = timezone.now() + timedelta(days=options["days"])
        grant = grant_pro(user=user, until=until, reason=options["reason"], by=None)
        AuditEvent.objects.record(
            BillingAction.GRANT_GIVEN,
            user_id=user.pk,
            mobile=user.mobile,
            actor=COMMAND,
            reason=grant.reason,
            until=str(until),
        )
        user.refresh_from_db(fields=["tier"])
        return {"tier": user.tier, "until": grant.until, "reason": grant.reason}

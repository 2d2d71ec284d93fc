from typing import Any

from django.core.management.base import CommandError

from accounts.auth.rate_limits import RateLimited
from accounts.auth.sign_in import send_code
from accounts.auth.sms_budgets import SmsBudgetSpent
from accounts.cli import COMMAND, MobileCommand
from accounts.models import AuditEvent
from accounts.models.audit import AccountAction


class Command(MobileCommand):
    help = "Send a new one-time code to a number, under the limits that hold for everybody."

    def run_for_mobile(self, mobile: str, **options: Any) -> dict[str, Any]:
        try:
            issued = send_code(mobile=mobile, client=None)
        except (RateLimited, SmsBudgetSpent) as error:
            seconds = round(error.retry_after or 0)
            raise CommandError(f"{error} The next is possible in {seconds} seconds.") from error
        AuditEvent.objects.record(AccountAction.CODE_SENT, mobile=mobile, actor=COMMAND)
        return {
            "expires_at": issued.code.expires_at,
            "resend_after_seconds": issued.resend_after_seconds,
        }

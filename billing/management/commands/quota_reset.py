from typing import Any

from accounts.cli import COMMAND, UserCommand
from accounts.models import AuditEvent, User
from billing.models import BillingAction, DailyQuota


class Command(UserCommand):
    help = "Give a user all of today's replies back, and let today's other limits begin again."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        used = DailyQuota.objects.reset(user=user)
        AuditEvent.objects.record(
            BillingAction.QUOTA_RESET,
            user_id=user.pk,
            mobile=user.mobile,
            actor=COMMAND,
            given_back=used,
        )
        return {"given_back": used, **DailyQuota.objects.usage(user=user).as_json()}

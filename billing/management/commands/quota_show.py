from typing import Any

from accounts.console import UserCommand
from accounts.models import User
from billing.models import DailyQuota


class Command(UserCommand):
    help = "Show how many of today's replies a user has used."

    def report_on_user(self, user: User, **options: Any) -> dict[str, Any]:
        return {"tier": user.tier, **DailyQuota.objects.usage(user=user).as_json()}

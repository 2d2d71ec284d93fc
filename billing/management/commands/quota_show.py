from typing import Any

from accounts.cli import UserCommand
from accounts.models import User
from billing.models import DailyQuota


class Command(UserCommand):
    help = "Show what a user has used of today's replies and other limits."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        today = DailyQuota.objects.of_today(user=user)
        others = ("unanswered", "cost_micro_usd", "text_bytes")
        return {
            "tier": user.tier,
            **DailyQuota.objects.usage(user=user).as_json(),
            **{name: getattr(today, name) for name in others},
        }

from typing import Any

from accounts.console import UserCommand
from accounts.models import Session, User


class Command(UserCommand):
    help = "Show a user: who it is, whether it may come in, and how many sessions it has."

    def report_on_user(self, user: User, **options: Any) -> dict[str, Any]:
        return {
            "id": user.pk,
            "name": user.name,
            "tier": user.tier,
            "is_verified": user.is_verified,
            "is_active": user.is_active,
            "is_staff": user.is_staff,
            "has_password": user.has_password,
            "created_at": user.created_at,
            "live_sessions": Session.objects.live().filter(user=user).count(),
        }

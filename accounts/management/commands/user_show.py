from typing import Any

from accounts.cli import UserCommand
from accounts.models import Erasure, Session, User


class Command(UserCommand):
    help = "Show a user: who it is, whether it may come in, and how many sessions it has."

    def run_for_user(self, user: User, **options: Any) -> dict[str, Any]:
        return {
            "id": user.pk,
            "name": user.name,
            "tier": user.tier,
            "is_verified": user.is_verified,
            "is_active": user.is_active,
            "is_staff": user.is_staff,
            "has_password": user.has_password,
            "created_at": user.created_at,
            "last_seen_at": user.last_seen_at,
            "erasure": state_of(Erasure.objects.filter(user=user).first()),
            "live_sessions": Session.objects.active().filter(user=user).count(),
        }


def state_of(erasure: Erasure | None) -> str | None:
    """Return the cause of an erasure's wait; None without an erasure."""
    return None if erasure is None else erasure.error or "under way"

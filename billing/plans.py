"""What each tier may do."""

from dataclasses import dataclass

from django.conf import settings

from accounts.models import User


@dataclass(frozen=True)
class Plan:
    tier: str
    daily_limit: int
    concurrent_replies: int


def plan_of(tier: str) -> Plan:
    if tier == User.Tier.PRO:
        return Plan(tier, settings.PRO_DAILY_LIMIT, settings.PRO_CONCURRENT_REPLIES)
    return Plan(tier, settings.BASIC_DAILY_LIMIT, settings.BASIC_CONCURRENT_REPLIES)


def plan_for(user: User) -> Plan:
    """The plan of the user's tier, which is read with the user: no query."""
    return plan_of(user.tier)


def retention_days() -> dict[User.Tier, int]:
    """After how many days without a message the chatrooms of each tier are erased; 0 for never."""
    return {
        User.Tier.BASIC: settings.BASIC_RETENTION_DAYS,
        User.Tier.PRO: settings.PRO_RETENTION_DAYS,
    }

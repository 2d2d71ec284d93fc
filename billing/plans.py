"""What each tier may do."""

from dataclasses import dataclass

from django.conf import settings

from accounts.models import User

MB = 1_000_000
# More than any sum that a column of PostgreSQL holds here.
NO_CEILING = 2**62


@dataclass(frozen=True)
class Plan:
    tier: str
    daily_limit: int
    concurrent_replies: int
    # Replies that are queued or being made; 0 for any number.
    waiting_replies: int
    sends_per_minute: int
    daily_cost_micro_usd: int
    minute_cost_micro_usd: int
    daily_text_bytes: int
    chatrooms: int
    chatrooms_per_minute: int


def plan_of(tier: str) -> Plan:
    if tier == User.Tier.PRO:
        return Plan(
            tier,
            daily_limit=settings.PRO_DAILY_LIMIT,
            concurrent_replies=settings.PRO_CONCURRENT_REPLIES,
            waiting_replies=settings.PRO_WAITING_REPLIES,
            sends_per_minute=settings.PRO_SENDS_PER_MINUTE,
            daily_cost_micro_usd=_ceiling(settings.PRO_DAILY_COST_USD),
            minute_cost_micro_usd=_ceiling(settings.PRO_MINUTE_COST_USD),
            daily_text_bytes=settings.PRO_DAILY_TEXT_MB * MB,
            chatrooms=settings.PRO_CHATROOMS,
            chatrooms_per_minute=settings.PRO_CHATROOMS_PER_MINUTE,
        )
    return Plan(
        tier,
        daily_limit=settings.BASIC_DAILY_LIMIT,
        concurrent_replies=settings.BASIC_CONCURRENT_REPLIES,
        waiting_replies=settings.BASIC_WAITING_REPLIES,
        sends_per_minute=settings.BASIC_SENDS_PER_MINUTE,
        daily_cost_micro_usd=_ceiling(settings.BASIC_DAILY_COST_USD),
        minute_cost_micro_usd=_ceiling(settings.BASIC_MINUTE_COST_USD),
        daily_text_bytes=settings.BASIC_DAILY_TEXT_MB * MB,
        chatrooms=settings.BASIC_CHATROOMS,
        chatrooms_per_minute=settings.BASIC_CHATROOMS_PER_MINUTE,
    )


def _ceiling(usd: float) -> int:
    """A ceiling in micro-USD; 0 US dollars is no ceiling."""
    return round(min(usd * 1_000_000, NO_CEILING)) if usd else NO_CEILING


def plan_for(user: User) -> Plan:
    """The plan of the user's tier, which is read with the user: no query."""
    return plan_of(user.tier)


def retention_days() -> dict[User.Tier, int]:
    """After how many days without a message the chatrooms of each tier are erased; 0 for never."""
    return {
        User.Tier.BASIC: settings.BASIC_RETENTION_DAYS,
        User.Tier.PRO: settings.PRO_RETENTION_DAYS,
    }

"""The rights of each tier: `settings.PLANS` has the plan of each tier, the lowest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    # The settings make the plans before there are models.
    from accounts.models import User

MB, MIB = 1_000_000, 1024**2
# More than any sum in a column of PostgreSQL here.
NO_CEILING = 2**62


@dataclass(frozen=True, kw_only=True)
class Plan:
    daily_limit: int
    concurrent_replies: int
    # Queued and generated replies at once; 0 for any number.
    waiting_replies: int
    sends_per_minute: int
    # Uploads of files: bytes of one file, bytes of all files, and uploads in an hour.
    file_max_bytes: int
    storage_mb: int
    uploads_per_hour: int
    # Files of one message, and their estimated tokens.
    files_per_message: int
    file_tokens: int
    # US dollars; 0 is no ceiling.
    daily_cost_usd: float
    minute_cost_usd: float
    daily_text_mb: int
    chatrooms: int
    chatrooms_per_minute: int
    # Days without a message until a chatroom is erased; 0 for never.
    retention_days: int
    # A subscription at any of these prices entitles to the plan. The first price is on sale, so a
    # price can be replaced.
    stripe_price_ids: Sequence[str] = ()
    # A grant entitles to the plan.
    is_granted_by_staff: bool = False

    @property
    def daily_cost_micro_usd(self) -> int:
        return _ceiling(self.daily_cost_usd)

    @property
    def minute_cost_micro_usd(self) -> int:
        return _ceiling(self.minute_cost_usd)

    @property
    def daily_text_bytes(self) -> int:
        return self.daily_text_mb * MB

    @property
    def storage_bytes(self) -> int:
        return self.storage_mb * MB


# The limits of the two plans, unless the environment has others.
BASIC: dict[str, Any] = {
    "daily_limit": 5,
    "concurrent_replies": 1,
    "waiting_replies": 20,
    "sends_per_minute": 10,
    "daily_cost_usd": 1.0,
    "minute_cost_usd": 0.5,
    "daily_text_mb": 5,
    "chatrooms": 200,
    "chatrooms_per_minute": 10,
    "retention_days": 0,
    "file_max_bytes": 20 * MIB,
    "storage_mb": 100,
    "uploads_per_hour": 60,
    "files_per_message": 10,
    "file_tokens": 20_000,
}
PRO: dict[str, Any] = {
    "daily_limit": 999_999,
    "concurrent_replies": 5,
    "waiting_replies": 50,
    "sends_per_minute": 60,
    "daily_cost_usd": 20.0,
    "minute_cost_usd": 2.0,
    "daily_text_mb": 100,
    "chatrooms": 5_000,
    "chatrooms_per_minute": 60,
    "retention_days": 0,
    "file_max_bytes": 50 * MIB,
    "storage_mb": 10_000,
    "uploads_per_hour": 600,
    "files_per_message": 10,
    "file_tokens": 300_000,
}


def plan_for_tier(tier: str) -> Plan:
    return settings.PLANS[tier]


def plan_for_user(user: "User") -> Plan:
    """Return the plan of the user's tier, without a query: the user has the tier."""
    return plan_for_tier(user.tier)


def includes(tier: str, other: str) -> bool:
    """Check whether a tier is another tier, or a higher one."""
    return other in included_tiers(tier)


def included_tiers(tier: str) -> list[str]:
    """List a tier and the lower tiers."""
    tiers = list(settings.PLANS)
    return tiers[: tiers.index(tier) + 1]


def _ceiling(usd: float) -> int:
    """Return a ceiling in micro-USD; 0 US dollars is no ceiling."""
    return round(min(usd * 1_000_000, NO_CEILING)) if usd else NO_CEILING

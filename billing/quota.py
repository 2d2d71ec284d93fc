"""The quota of a day (UTC), and the limits that refuse a send."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.utils import timezone

from accounts.auth.rate_limits import RateLimited
from gemchat.api.errors import DomainError

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Quota:
    """`used` replies of `limit` on `day`. After a downgrade `used` may be over `limit`."""

    limit: int
    used: int
    day: date

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def resets_at(self) -> datetime:
        return datetime.combine(self.day + timedelta(days=1), time(), UTC)

    def as_json(self) -> dict[str, Any]:
        return {
            "limit": self.limit,
            "used": self.used,
            "remaining": self.remaining,
            "resets_at": f"{self.resets_at:%Y-%m-%dT%H:%M:%SZ}",
        }

    def as_headers(self) -> dict[str, str]:
        return {
            "X-Quota-Limit": str(self.limit),
            "X-Quota-Remaining": str(self.remaining),
            "X-Quota-Reset": f"{self.resets_at:%Y-%m-%dT%H:%M:%SZ}",
        }


class QuotaExceeded(DomainError):
    code = "quota_exceeded"
    message = "Today's replies are used up. Wait for the reset, or upgrade to Pro."
    status = 429

    def __init__(self, quota: Quota) -> None:
        super().__init__(
            retry_after=seconds_until(quota.resets_at),
            headers=quota.as_headers(),
            quota=quota.as_json(),
        )


class SendsLimited(RateLimited):
    message = "Too many messages in a minute. Wait a moment, then send again."


class CostLimitReached(DomainError):
    code = "cost_limit_reached"
    message = "Your replies have cost as much as they may for now. Wait, then send again."
    status = 429


class TextLimitReached(DomainError):
    code = "text_limit_reached"
    message = "Today's messages have as much text as they may. Wait for the reset at 00:00 UTC."
    status = 429


def seconds_until(moment: datetime) -> float:
    return (moment - timezone.now()).total_seconds()

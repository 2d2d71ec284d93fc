"""Counters in the database: the acts of a subject in a sliding window.

Only accepted requests count: a refused request makes nobody wait longer.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import prometheus_client as metrics
from django.db.models import QuerySet

from accounts.models import LimitHit

CODE_REFUSALS = metrics.Counter(
    "gemchat_code_refusals", "Requests for a code that a limit refused.", ["limit"]
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Counter:
    """A subject with its limits, each a maximum and a window."""

    kind: LimitHit.Kind
    subject: str
    limits: list[tuple[int, timedelta]]
    # Another subject of older hits.
    alias: str = ""
    # Narrows the hits of a number to the hits from this network.
    network: str = ""

    @property
    def lock_name(self) -> str:
        return f"{self.kind} {self.subject}"

    def wait(self, now: datetime) -> float:
        """Return the seconds until every limit has room; 0 when there is room now."""
        return max(self._wait(maximum, window, now) for maximum, window in self.limits)

    def newest(self, now: datetime) -> list[tuple[datetime, str]]:
        """Return times and subjects of the newest hits, as many as the limits need."""
        most = max(maximum for maximum, _ in self.limits)
        longest = max(window for _, window in self.limits)
        return list(self._hits(longest, now).values_list("created_at", "subject")[:most])

    def wait_of(self, times: Sequence[datetime], now: datetime) -> float:
        """Return the seconds of `wait`, from the times of `newest`."""
        # The hit at the limit of each window: the next to leave.
        last = [
            (times[maximum - 1], window) for maximum, window in self.limits if len(times) >= maximum
        ]
        return max((0.0, *((at + window - now).total_seconds() for at, window in last)))

    def is_used(self, share: float, now: datetime) -> bool:
        """Check whether more than `share` of any limit is used."""
        return any(
            self._hits(window, now)[int(maximum * share) :][:1].exists()
            for maximum, window in self.limits
        )

    def used(self, now: datetime) -> int:
        """Count the hits in the first window."""
        return self._hits(self.limits[0][1], now).count()

    def hit(self, now: datetime, code_id: uuid.UUID | None = None) -> LimitHit:
        return LimitHit(
            kind=self.kind,
            subject=self.subject,
            network=self.network,
            code_id=code_id,
            created_at=now,
        )

    def _wait(self, maximum: int, window: timedelta, now: datetime) -> float:
        if maximum <= 0:
            return window.total_seconds()
        # The hit at the limit of the window: the next to leave.
        times = self._hits(window, now).values_list("created_at", flat=True)
        for at in times[maximum - 1 : maximum]:
            return (at + window - now).total_seconds()
        return 0.0

    def _hits(self, window: timedelta, now: datetime) -> QuerySet[LimitHit]:
        return LimitHit.objects.filter(
            kind=self.kind,
            subject__in=[self.subject, self.alias] if self.alias else [self.subject],
            network=self.network,
            created_at__gt=now - window,
        ).order_by("-created_at")


def longest_wait(counters: Collection[Counter], now: datetime) -> float:
    """Return the seconds until every counter has room."""
    return max((counter.wait(now) for counter in counters), default=0.0)


def count(
    counters: Collection[Counter], now: datetime, *, code_id: uuid.UUID | None = None
) -> list[LimitHit]:
    """Count one hit of each counter, under the caller's locks."""
    return LimitHit.objects.bulk_create([counter.hit(now, code_id) for counter in counters])

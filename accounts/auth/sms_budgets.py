"""Budgets of SMS: for all numbers a day, and for one country an hour.

A share of each budget is reserved for numbers with an account. So codes to invented numbers do not
shut out the users. docs/adr/0012 explains the information in the share.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import prometheus_client as metrics
from django.conf import settings

from accounts.auth.counters import CODE_REFUSALS, DAY, HOUR, Counter, count, longest_wait
from accounts.models import LimitHit
from accounts.phone_numbers import phone_region
from gemchat.api.errors import DomainError
from gemchat.stores.locks import Lock, advisory_lock

logger = logging.getLogger(__name__)

SMS_BUDGET_USED = metrics.Gauge(
    "gemchat_sms_budget_used_ratio",
    "Used share of a budget of SMS, as of this process's last send.",
    ["budget"],
)
SMS_BUDGET_ALERTS = metrics.Counter(
    "gemchat_sms_budget_alerts", "Levels that a budget of SMS has reached.", ["budget", "level"]
)

HALF = 0.5
EVERY_NUMBER = "every number"


class SmsBudgetSpent(DomainError):
    code = "sms_budget_spent"
    message = "No more codes can be sent at the moment."
    status = 429


@dataclass(frozen=True, slots=True)
class Budget:
    """SMS in a window; numbers without an account take at most `for_anyone` SMS."""

    # The setting, for the log; the label of the metric.
    setting: str
    label: str
    counter: Counter

    @property
    def maximum(self) -> int:
        return self.counter.limits[0][0]

    @property
    def for_anyone(self) -> int:
        return self.maximum - int(self.maximum * settings.SMS_RESERVED_SHARE)

    def open_to_anyone(self) -> Counter:
        """Count the same hits against the unreserved part."""
        window = self.counter.limits[0][1]
        return Counter(self.counter.kind, self.counter.subject, [(self.for_anyone, window)])

    def levels(self) -> dict[str, int]:
        return {
            "half spent": int(self.maximum * HALF),
            "spent for numbers without an account": self.for_anyone,
            "spent": self.maximum,
        }


def budgets_for(mobile: str) -> list[Budget]:
    """Return the budgets of a send to this number, in the order of the locks."""
    region = phone_region(mobile)
    hourly, daily = settings.SMS_COUNTRY_HOURLY_BUDGET, settings.SMS_DAILY_BUDGET
    kind = LimitHit.Kind.BUDGET
    return [
        Budget("SMS_COUNTRY_HOURLY_BUDGET", region, Counter(kind, region, [(hourly, HOUR)])),
        Budget("SMS_DAILY_BUDGET", "all", Counter(kind, EVERY_NUMBER, [(daily, DAY)])),
    ]


def are_near(*, mobile: str, now: datetime) -> bool:
    """Check whether numbers without an account have used half of the unreserved part."""
    return any(budget.open_to_anyone().is_used(HALF, now) for budget in budgets_for(mobile))


def take(*, mobile: str, is_known: bool, now: datetime) -> None:
    """Take one SMS from each budget, in the caller's transaction. Raises SmsBudgetSpent."""
    budgets = budgets_for(mobile)
    counters = [each.counter if is_known else each.open_to_anyone() for each in budgets]
    # Without a lock first, as in `rate_limits.count_sms`.
    _refuse_spent(counters, now)
    advisory_lock(Lock.RATE_LIMIT, *(counter.lock_name for counter in counters))
    _refuse_spent(counters, now)
    count([budget.counter for budget in budgets], now)
    for budget in budgets:
        _report(budget, now)


def _refuse_spent(counters: Collection[Counter], now: datetime) -> None:
    if (wait := longest_wait(counters, now)) > 0:
        CODE_REFUSALS.labels("budget").inc()
        raise SmsBudgetSpent(retry_after=wait)


def _report(budget: Budget, now: datetime) -> None:
    """Log each level of a budget once in a window."""
    used = budget.counter.used(now)
    SMS_BUDGET_USED.labels(budget.label).set(used / budget.maximum)
    for level, threshold in budget.levels().items():
        if used < max(1, threshold):
            return
        alert = Counter(
            LimitHit.Kind.BUDGET_ALERT,
            f"{budget.counter.subject} {level}"[:64],
            [(1, budget.counter.limits[0][1])],
        )
        if alert.wait(now) > 0:
            continue
        count([alert], now)
        SMS_BUDGET_ALERTS.labels(budget.label, level).inc()
        logger.error(
            "%s (%d) of %s is %s: %d codes were sent",
            budget.setting,
            budget.maximum,
            budget.label,
            level,
            used,
        )

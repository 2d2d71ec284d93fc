"""How often a number or an address may try. Counted in the database, under a lock.

Windows slide, and only what was let through counts: a refused request makes nobody wait longer.
Locks are always taken in one order: the number, the address, the budget.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.client import Client
from accounts.models import AuditEvent, LimitHit, OneTimeCode
from accounts.models.audit import mobile_digest
from gemchat.errors import DomainError

logger = logging.getLogger(__name__)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SENDS_FOR_NUMBER = [(5, HOUR), (10, DAY)]
SENDS_FOR_ADDRESS = [(20, HOUR)]
FAILURES_FOR_NUMBER = [(20, DAY)]
FAILURES_FOR_ADDRESS = [(60, HOUR)]
# A sign-up that brings a password costs a hash.
SIGNUPS_FOR_ADDRESS = [(20, HOUR)]
FIRST_GAP_SECONDS = 30
BUDGET = "every number"


class RateLimited(DomainError):
    code = "rate_limited"
    message = "Too many tries. Wait before the next one."
    status = 429


class SmsBudgetSpent(DomainError):
    code = "sms_budget_spent"
    message = "No more codes can be sent today."
    status = 429


@dataclass(frozen=True, slots=True)
class Counter:
    """A subject with its limits: so many hits in so long."""

    kind: LimitHit.Kind
    subject: str
    limits: list[tuple[int, timedelta]]
    # Under which other name the subject's hits may stand.
    alias: str = ""

    def wait(self, now: datetime) -> float:
        """Seconds until every limit has a place free; 0 when one is free now."""
        return max(self._wait(maximum, window, now) for maximum, window in self.limits)

    def _wait(self, maximum: int, window: timedelta, now: datetime) -> float:
        newest = LimitHit.objects.filter(
            kind=self.kind,
            subject__in=[self.subject, self.alias] if self.alias else [self.subject],
            created_at__gt=now - window,
        ).order_by("-created_at")
        # The hit that must leave the window first.
        times = newest.values_list("created_at", flat=True)[maximum - 1 : maximum]
        for at in times:
            return (at + window - now).total_seconds()
        return 0.0


def lock(*subjects: str) -> None:
    """Until the transaction ends, nobody else counts for these."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('limit ' || subject, 0))"
            " FROM unnest(%s::text[]) AS subject",
            [list(subjects)],
        )


def take_send(*, mobile: str, network: str) -> int:
    """Count one SMS, in the caller's transaction; the seconds until this number's next one.

    Raises RateLimited and SmsBudgetSpent.
    """
    lock(mobile, network, BUDGET)
    now = timezone.now()
    counters = [
        Counter(LimitHit.Kind.SEND, mobile, SENDS_FOR_NUMBER, mobile_digest(mobile)),
        Counter(LimitHit.Kind.SEND, network, SENDS_FOR_ADDRESS),
    ]
    unanswered = _unanswered_sends(mobile, now)
    waits = [counter.wait(now) for counter in counters]
    if unanswered:
        gap = _gap_seconds(len(unanswered))
        waits.append(gap - (now - unanswered[0]).total_seconds())
    if max(waits) > 0:
        raise RateLimited(retry_after=max(waits))
    budget = Counter(LimitHit.Kind.SEND, BUDGET, [(settings.SMS_DAILY_BUDGET, DAY)])
    if (wait := budget.wait(now)) > 0:
        logger.error("SMS_DAILY_BUDGET (%d) is spent; no code is sent", settings.SMS_DAILY_BUDGET)
        raise SmsBudgetSpent(retry_after=wait)
    _count([*counters, budget], now)
    return _gap_seconds(len(unanswered) + 1)


def _gap_seconds(sends: int) -> int:
    return FIRST_GAP_SECONDS * 2 ** (sends - 1)


def _unanswered_sends(mobile: str, now: datetime) -> list[datetime]:
    """This hour's sends since a code was last used, newest first."""
    sends = LimitHit.objects.filter(
        kind=LimitHit.Kind.SEND, subject=mobile, created_at__gt=now - HOUR
    )
    used_at = (
        OneTimeCode.objects.filter(mobile=mobile, ending=OneTimeCode.Ending.USED)
        .order_by("-created_at")
        .values_list("ended_at", flat=True)
        .first()
    )
    if used_at is not None:
        sends = sends.filter(created_at__gt=used_at)
    return list(sends.order_by("-created_at").values_list("created_at", flat=True))


def _failure_counters(mobile: str, network: str) -> list[Counter]:
    return [
        Counter(LimitHit.Kind.FAILURE, mobile, FAILURES_FOR_NUMBER, mobile_digest(mobile)),
        Counter(LimitHit.Kind.FAILURE, network, FAILURES_FOR_ADDRESS),
    ]


def refuse_if_failing(*, mobile: str, network: str) -> None:
    """Raise RateLimited when this number or address has failed too often.

    Locks both, so that what the caller counts afterwards in its transaction is exact.
    """
    lock(mobile, network)
    now = timezone.now()
    wait = max(counter.wait(now) for counter in _failure_counters(mobile, network))
    if wait > 0:
        raise RateLimited(retry_after=wait)


def count_failure(*, mobile: str, client: Client, is_guess: bool = True) -> list[LimitHit]:
    """Count a failed try, under the locks of `refuse_if_failing`.

    One that could not have been right (`is_guess` False: there was no code to guess) counts for
    the address alone, or strangers could shut a number out without its ever being sent a code.
    """
    counters = _failure_counters(mobile, client.network)[0 if is_guess else 1 :]
    now = timezone.now()
    hits = _count(counters, now)
    for counter in counters:
        if counter.wait(now) > 0:
            AuditEvent.objects.record(
                AuditEvent.Action.LIMIT_REACHED,
                mobile=mobile,
                client=client,
                limit="failures of an address" if counter.subject == client.network else "failures",
            )
    return hits


def take_guess(*, mobile: str, client: Client) -> list[LimitHit]:
    """Count a guess at a password before it is judged; `give_back` takes a right one off.

    Counting first is what keeps many guesses at once from being hashed. Raises RateLimited.
    """
    with transaction.atomic():
        refuse_if_failing(mobile=mobile, network=client.network)
        return count_failure(mobile=mobile, client=client)


def give_back(hits: list[LimitHit]) -> None:
    LimitHit.objects.filter(pk__in=[hit.pk for hit in hits]).delete()


def take_signup(*, network: str) -> None:
    """Count a sign-up that brings a password. Raises RateLimited."""
    with transaction.atomic():
        lock(network)
        now = timezone.now()
        counter = Counter(LimitHit.Kind.SIGNUP, network, SIGNUPS_FOR_ADDRESS)
        if (wait := counter.wait(now)) > 0:
            raise RateLimited(retry_after=wait)
        _count([counter], now)


def take(*, kind: LimitHit.Kind, subject: str, allowed: list[tuple[int, timedelta]]) -> None:
    """Count one act of a subject. `allowed` is a list of (count, window). Raises RateLimited."""
    with transaction.atomic():
        lock(f"{kind} {subject}")
        now = timezone.now()
        counter = Counter(kind, subject, allowed)
        if (wait := counter.wait(now)) > 0:
            raise RateLimited(retry_after=wait)
        _count([counter], now)


def clear(*, mobile: str) -> int:
    """Forget what was counted for a number; how many hits there were."""
    deleted, _ = LimitHit.objects.filter(subject__in=[mobile, mobile_digest(mobile)]).delete()
    return deleted


def make_nameless(*, mobile: str) -> None:
    """Let what was counted for a number hold on without telling the number.

    Whoever erases an account and signs up again gets no more codes, and so no more replies, than
    anybody else.
    """
    LimitHit.objects.filter(subject=mobile).update(subject=mobile_digest(mobile))


def sends_of(mobile: str) -> int:
    """SMS to a number in the last 24 hours."""
    return _hits_of_day(LimitHit.Kind.SEND, mobile)


def failures_of(mobile: str) -> int:
    """Wrong codes and passwords for a number in the last 24 hours."""
    return _hits_of_day(LimitHit.Kind.FAILURE, mobile)


def _hits_of_day(kind: LimitHit.Kind, mobile: str) -> int:
    since = timezone.now() - DAY
    known_as = [mobile, mobile_digest(mobile)]
    return LimitHit.objects.filter(kind=kind, subject__in=known_as, created_at__gt=since).count()


def _count(counters: list[Counter], now: datetime) -> list[LimitHit]:
    return LimitHit.objects.bulk_create(
        [LimitHit(kind=each.kind, subject=each.subject, created_at=now) for each in counters]
    )

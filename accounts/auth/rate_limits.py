"""Limits on tries of a number or a network, counted in the database under locks.

Locks have one order: the number, its networks from narrow to wide, the budget of the country, the
budget of all. A call refused at an early lock never waits for a later lock.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.auth import challenges, sms_budgets
from accounts.auth.counters import CODE_REFUSALS, DAY, HOUR, Counter, count, longest_wait
from accounts.models import AuditEvent, LimitHit, OneTimeCode, Session, User
from accounts.models.audit import AccountAction, mobile_digest
from gemchat.api.client_address import Client
from gemchat.api.errors import DomainError
from gemchat.stores.locks import Lock, advisory_lock

Kind = LimitHit.Kind

FIRST_GAP_SECONDS = 30
# After a sign-in, the account knows the network for this long.
FAMILIAR = timedelta(days=90)
# Guesses at one password from all networks together, as a multiple of the guesses from one network.
NETWORKS_THAT_GUESS = 10
# Unanswered codes of one address: days are longer than hours, attacks too.
DAY_IN_HOURS = 3
SENDS = [Kind.SEND, Kind.OWNER_SEND]
GUESSES = [Kind.PASSWORD_FAILURE, Kind.STAFF_FAILURE]
KINDS_OF_NUMBER = [*SENDS, *GUESSES, Kind.LOGIN]


class RateLimited(DomainError):
    code = "rate_limited"
    message = "Too many tries. Wait before the next one."
    status = 429


@dataclass(frozen=True, slots=True)
class PasswordAttempt:
    """A counted guess at a password; `settle` corrects the count after the check."""

    failures: list[LimitHit]
    logins: list[LimitHit] = field(default_factory=list)


def count_sms(*, mobile: str, client: Client | None, code_id: uuid.UUID, solution: str = "") -> int:
    """Count one SMS in the caller's transaction; return the seconds until the number's next one.

    `client` is None for codes from staff, since no network answers for such codes. Raises
    RateLimited, ChallengeRequired and SmsBudgetSpent.
    """
    networks = _sends_of_networks(client)
    # First without a lock: else refused sends wait in a row, each in a thread.
    _refuse_send(mobile, client, networks, timezone.now())
    advisory_lock(Lock.RATE_LIMIT, mobile, *(counter.lock_name for counter in networks))
    now = timezone.now()
    number, unanswered = _refuse_send(mobile, client, networks, now)
    if client is not None:
        challenges.require(mobile=mobile, solution=solution, networks=networks, now=now)
    is_known = User.objects.filter(mobile=mobile).exists()
    sms_budgets.take(mobile=mobile, is_known=is_known, now=now)
    count([number], now)
    count(networks, now, code_id=code_id)
    return _gap_seconds(unanswered + 1)


def _refuse_send(
    mobile: str, client: Client | None, networks: list[Counter], now: datetime
) -> tuple[Counter, int]:
    """Return the number's counter, and the count of unanswered sends in this hour.

    Raises RateLimited.
    """
    is_familiar = client is None or _is_familiar(mobile, client)
    number = _sends_of_number(mobile, Kind.OWNER_SEND if is_familiar else Kind.SEND)
    sent = number.newest(now)
    waits = [number.wait_of([at for at, _ in sent], now)]
    # A new account of an erased number waits for no gap.
    own = [at for at, subject in sent if subject == mobile and at > now - HOUR]
    unanswered = _unanswered(mobile, own)
    if unanswered:
        waits.append(_gap_seconds(len(unanswered)) - (now - unanswered[0]).total_seconds())
    _refuse(max(waits), "number")
    _refuse(longest_wait(networks, now), "network")
    return number, len(unanswered)


def _sends_of_number(mobile: str, kind: LimitHit.Kind) -> Counter:
    hourly = settings.SMS_PER_NUMBER
    return Counter(kind, mobile, [(hourly, HOUR), (2 * hourly, DAY)], mobile_digest(mobile))


def _sends_of_networks(client: Client | None) -> list[Counter]:
    if client is None:
        return []
    hourly = settings.SMS_UNANSWERED_PER_ADDRESS
    return _per_network(Kind.NETWORK_SEND, client, [(hourly, HOUR), (hourly * DAY_IN_HOURS, DAY)])


def _per_network(
    kind: LimitHit.Kind, client: Client, limits: list[tuple[int, timedelta]]
) -> list[Counter]:
    """Give each network of a client its share of an address's limits."""
    return [
        Counter(kind, name, [(max(1, int(maximum * share)), window) for maximum, window in limits])
        for name, share in client.networks.items()
    ]


def _refuse(wait: float, reason: str) -> None:
    if wait > 0:
        CODE_REFUSALS.labels(reason).inc()
        raise RateLimited(retry_after=wait)


def _gap_seconds(sends: int) -> int:
    return FIRST_GAP_SECONDS * 2 ** (sends - 1)


def _unanswered(mobile: str, sent: list[datetime]) -> list[datetime]:
    """The sends, newest first, since a code of the number was last used."""
    if not sent:
        return []
    used_at = (
        OneTimeCode.objects.filter(mobile=mobile, ending=OneTimeCode.Ending.USED)
        .order_by("-created_at")
        .values_list("ended_at", flat=True)
        .first()
    )
    return [at for at in sent if used_at is None or at > used_at]


def _is_familiar(mobile: str, client: Client) -> bool:
    """Check whether the number's account has signed in from the client's network of late."""
    if client.ip is None:
        return False
    since = timezone.now() - FAMILIAR
    sessions = Session.objects.filter(user__mobile=mobile, created_at__gt=since)
    return sessions.filter(ip__within=client.network).exists()


def _is_familiar_to_staff(mobile: str, client: Client) -> bool:
    """Check for a recent sign-in to the admin; such a sign-in makes no session row."""
    user = User.objects.filter(mobile=mobile, is_staff=True).first()
    if user is None or client.ip is None:
        return False
    since = timezone.now() - FAMILIAR
    events = AuditEvent.objects.filter(user_id=user.pk, created_at__gt=since)
    signed_in = events.filter(action=AccountAction.STAFF_SIGNED_IN)
    return signed_in.filter(address__ip__within=client.network).exists()


def check_code_failures(*, client: Client) -> None:
    """Refuse tries at codes not requested from the client's networks. Raises RateLimited.

    Tries at a network's own codes are bounded by its sends, and are not refused here. Else one
    hostile neighbour would shut out all people behind the same address.
    """
    counters = _code_failures(client)
    advisory_lock(Lock.RATE_LIMIT, *(counter.lock_name for counter in counters))
    wait = longest_wait(counters, timezone.now())
    if wait > 0:
        raise RateLimited(retry_after=wait)


def count_code_failure(*, mobile: str, client: Client, code_id: uuid.UUID | None) -> None:
    """Count a wrong try at no code, or at a code of another network."""
    counters, now = _code_failures(client), timezone.now()
    count(counters, now, code_id=code_id)
    _record_reached(counters, "wrong codes of a network", mobile=mobile, client=client, now=now)


def _code_failures(client: Client) -> list[Counter]:
    limits = [(settings.CODE_FAILURES_PER_ADDRESS, HOUR)]
    return _per_network(Kind.CODE_FAILURE, client, limits)


def refund(*, mobile: str) -> None:
    """Delete the hits of a number's codes of this day, since the owner has answered."""
    since = timezone.now() - DAY
    codes = OneTimeCode.objects.filter(mobile=mobile, created_at__gt=since).values("pk")
    kinds = [Kind.NETWORK_SEND, Kind.CODE_FAILURE]
    LimitHit.objects.filter(kind__in=kinds, code_id__in=codes).delete()


def count_password_attempt(
    *,
    mobile: str,
    client: Client,
    kind: LimitHit.Kind = Kind.PASSWORD_FAILURE,
    is_login: bool = False,
) -> PasswordAttempt:
    """Count a guess at a password before the check; `settle` corrects the count.

    Counting first keeps parallel guesses from being hashed. `kind` parts the API from the admin.
    `is_login` counts the guess as a right sign-in too. Raises RateLimited.
    """
    one_network = settings.PASSWORD_FAILURES_PER_NUMBER
    digest = mobile_digest(mobile)
    pairs = [
        Counter(kind, mobile, [(one_network, DAY)], digest, network=name)
        for name in client.networks
    ]
    everywhere = Counter(kind, mobile, [(one_network * NETWORKS_THAT_GUESS, DAY)], digest)
    addresses = _per_network(kind, client, [(settings.PASSWORD_FAILURES_PER_ADDRESS, HOUR)])
    logins: list[Counter] = []
    if is_login:
        own = Counter(Kind.LOGIN, mobile, [(settings.LOGINS_PER_NUMBER, HOUR)], digest)
        logins = [own, *_per_network(Kind.LOGIN, client, [(settings.LOGINS_PER_ADDRESS, HOUR)])]
    with transaction.atomic():
        advisory_lock(
            Lock.RATE_LIMIT, everywhere.lock_name, *(counter.lock_name for counter in addresses)
        )
        advisory_lock(Lock.RATE_LIMIT, *(counter.lock_name for counter in logins))
        now = timezone.now()
        wait = longest_wait([*pairs, *addresses, *logins], now)
        if (long := everywhere.wait(now)) > 0 and not _knows(mobile, client, kind):
            wait = max(wait, long)
        if wait > 0:
            raise RateLimited(retry_after=wait)
        attempt = PasswordAttempt(count([*pairs, everywhere, *addresses], now), count(logins, now))
        _record_reached([pairs[0]], "wrong passwords", mobile=mobile, client=client, now=now)
        _record_reached(
            [everywhere], "wrong passwords of all networks", mobile=mobile, client=client, now=now
        )
        _record_reached(
            addresses, "wrong passwords of a network", mobile=mobile, client=client, now=now
        )
    return attempt


def _knows(mobile: str, client: Client, kind: LimitHit.Kind) -> bool:
    if kind == Kind.STAFF_FAILURE and _is_familiar_to_staff(mobile, client):
        return True
    return _is_familiar(mobile, client)


def correct_attempt(attempt: PasswordAttempt, *, is_right: bool) -> None:
    """Correct a count: a right password is no failure, a wrong password no sign-in."""
    wrong_hits = attempt.failures if is_right else attempt.logins
    LimitHit.objects.filter(pk__in=[hit.pk for hit in wrong_hits]).delete()


def count_signup(*, client: Client) -> None:
    """Count a sign-up with a password, for the cost of a hash. Raises RateLimited."""
    counters = _per_network(Kind.SIGNUP, client, [(settings.SIGNUPS_PER_ADDRESS, HOUR)])
    with transaction.atomic():
        advisory_lock(Lock.RATE_LIMIT, *(counter.lock_name for counter in counters))
        now = timezone.now()
        if (wait := longest_wait(counters, now)) > 0:
            raise RateLimited(retry_after=wait)
        count(counters, now)


def take(
    *, kind: LimitHit.Kind, subject: str, allowed: list[tuple[int, timedelta]]
) -> list[LimitHit]:
    """Count one act of a subject, and return the hits. Raises RateLimited.

    `allowed` is a list of (count, window).
    """
    with transaction.atomic():
        counter = Counter(kind, subject, allowed)
        advisory_lock(Lock.RATE_LIMIT, counter.lock_name)
        now = timezone.now()
        if (wait := counter.wait(now)) > 0:
            raise RateLimited(retry_after=wait)
        return count([counter], now)


def _record_reached(
    counters: list[Counter], limit: str, *, mobile: str, client: Client, now: datetime
) -> None:
    if longest_wait(counters, now) > 0:
        AuditEvent.objects.record(
            AccountAction.LIMIT_REACHED, mobile=mobile, client=client, limit=limit
        )


def hits_of_number(*, mobile: str) -> QuerySet[LimitHit]:
    return LimitHit.objects.filter(
        kind__in=KINDS_OF_NUMBER, subject__in=[mobile, mobile_digest(mobile)]
    )


def clear(*, mobile: str) -> int:
    """Delete the hits of a number; return their count."""
    deleted, _ = hits_of_number(mobile=mobile).delete()
    return deleted


def count_recent_sms(mobile: str) -> int:
    """Count the SMS to a number in the last 24 hours."""
    return _hits_of_day(SENDS, mobile)


def count_recent_failures(mobile: str) -> int:
    """Count wrong passwords, and tries spent by wrong codes, in the last 24 hours."""
    codes = OneTimeCode.objects.filter(mobile=mobile, created_at__gt=timezone.now() - DAY)
    return _hits_of_day(GUESSES, mobile) + sum(code.tries_spent for code in codes)


def _hits_of_day(kinds: list[LimitHit.Kind], mobile: str) -> int:
    return LimitHit.objects.filter(
        kind__in=kinds,
        subject__in=[mobile, mobile_digest(mobile)],
        network="",
        created_at__gt=timezone.now() - DAY,
    ).count()

"""A proof of work before a code is sent, while limits are near.

The documents are documents of ALTCHA (https://altcha.org, version 1, SHA-256): any ALTCHA solver
solves the challenges. No server of another party takes part.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.auth import sms_budgets
from accounts.auth.counters import CODE_REFUSALS, HOUR, Counter, count
from accounts.checks import MODES
from accounts.models import LimitHit
from gemchat.api.errors import DomainError

LIFETIME = timedelta(minutes=5)
ALGORITHM = "SHA-256"
_, AUTO, ALWAYS = MODES
MEMBERS = {"challenge", "number", "salt", "signature"}


class ChallengeRequired(DomainError):
    code = "challenge_required"
    message = "Solve the challenge, and send its solution along."
    status = 403


def require(*, mobile: str, solution: str, networks: Collection[Counter], now: datetime) -> None:
    """Check a due proof of work in the caller's transaction.

    The caller holds the lock of the number, so a solution is valid once. Numbers with an account
    are asked as well: an exception would reveal the account. Raises ChallengeRequired.
    """
    if not _is_due(mobile, networks, now):
        return
    challenge = _solved_challenge(mobile, solution, now)
    used = challenge and Counter(LimitHit.Kind.CHALLENGE, challenge, [(1, HOUR)])
    if not used or used.wait(now) > 0:
        CODE_REFUSALS.labels("challenge").inc()
        raise ChallengeRequired(challenge=new_challenge(mobile, now))
    count([used], now)


def _is_due(mobile: str, networks: Collection[Counter], now: datetime) -> bool:
    if settings.SMS_CHALLENGE == AUTO:
        near = any(counter.is_used(sms_budgets.HALF, now) for counter in networks)
        return near or sms_budgets.are_near(mobile=mobile, now=now)
    return settings.SMS_CHALLENGE == ALWAYS


def new_challenge(mobile: str, now: datetime) -> dict[str, Any]:
    """Make a challenge for one number: find `number` with SHA-256(salt + number) = challenge."""
    number = secrets.randbelow(settings.SMS_CHALLENGE_WORK + 1)
    expires = int((now + LIFETIME).timestamp())
    # The "&" ends the salt, or digits could move from the number into the time.
    salt = f"{secrets.token_hex(12)}?expires={expires}&"
    challenge = _digest(salt, number)
    return {
        "algorithm": ALGORITHM,
        "challenge": challenge,
        "maxnumber": settings.SMS_CHALLENGE_WORK,
        "salt": salt,
        "signature": _signature(mobile, challenge),
    }


def _solved_challenge(mobile: str, solution: str, now: datetime) -> str:
    """Return the challenge of a solution for this number; "" for any other text."""
    try:
        solved = json.loads(base64.b64decode(solution, validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return ""
    if not isinstance(solved, dict) or not solved.keys() >= MEMBERS:
        return ""
    challenge, number, salt = solved["challenge"], solved["number"], solved["salt"]
    texts = [challenge, salt, solved["signature"]]
    if type(number) is not int or not all(isinstance(text, str) for text in texts):
        return ""
    if not all(text.isascii() for text in texts) or abs(number) > settings.SMS_CHALLENGE_WORK:
        return ""
    is_ours = hmac.compare_digest(_signature(mobile, challenge), solved["signature"])
    if not is_ours or not hmac.compare_digest(_digest(salt, number), challenge):
        return ""
    expires = salt.partition("?expires=")[2].removesuffix("&")
    return challenge if expires.isdigit() and int(expires) > now.timestamp() else ""


def _digest(salt: str, number: int) -> str:
    return hashlib.sha256(f"{salt}{number}".encode()).hexdigest()


def _signature(mobile: str, challenge: str) -> str:
    """Sign a challenge for one number: a digest of salt and expiry."""
    text = f"{mobile} {challenge}"
    return salted_hmac("accounts.challenge", text, algorithm="sha256").hexdigest()

"""Signing up and in: by a code that was sent to the number, or by a password.

Nothing here tells known numbers from unknown ones: signing up and asking for a code look nobody
up, and a password is hashed for an unknown number as well.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.core import signing
from django.db import transaction

from accounts import limits
from accounts.client import Client
from accounts.metrics import CODE_CHECKS
from accounts.models import AuditEvent, Erasure, OneTimeCode, Session, User
from accounts.sessions import SignedIn, open_session
from accounts.tasks import send_to_queue
from gemchat.errors import DomainError

SIGNUP_SALT = "accounts.signup"
SIGNUP_LIFETIME = timedelta(hours=1)
CLOSING_RETRY_SECONDS = 60


class CodeInvalid(DomainError):
    code = "otp_invalid"
    message = "The code is wrong or has expired. Ask for a new one."
    status = 400


class InvalidCredentials(DomainError):
    code = "invalid_credentials"
    message = "Mobile number and password do not match."
    status = 401


class AccountDisabled(DomainError):
    code = "account_disabled"
    message = "This account has been disabled."
    status = 403


class AccountClosing(DomainError):
    code = "account_closing"
    message = "The account of this number is being erased. Sign up anew when that is done."
    status = 409

    def __init__(self) -> None:
        super().__init__(retry_after=CLOSING_RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class IssuedCode:
    code: OneTimeCode
    resend_after_seconds: int


def sign_up(*, mobile: str, password: str, client: Client) -> str:
    """A token that keeps the password of a sign-up until its number is verified; "" without one.

    Whoever signs up may not own the number. Were the password stored with it, a stranger could
    choose one for a number and wait for its owner to verify it; so it stays with the client, whose
    token has effect only beside a right code.
    """
    if not password:
        return ""
    limits.take_signup(network=client.network)
    return signing.dumps([mobile, make_password(password)], salt=SIGNUP_SALT)


def send_code(*, mobile: str, client: Client) -> IssuedCode:
    """Make a number's new code and have it sent. Raises RateLimited, SmsBudgetSpent."""
    with transaction.atomic():
        resend_after = limits.take_send(mobile=mobile, network=client.network)
        code = OneTimeCode.objects.issue(mobile=mobile, ip=client.ip)
        transaction.on_commit(partial(send_to_queue, code.pk))
    return IssuedCode(code, resend_after)


def sign_in_with_code(
    *,
    mobile: str,
    digits: str,
    client: Client,
    signup_token: str = "",
    channel: Session.Channel = Session.Channel.API,
) -> SignedIn:
    """Sign in with a code, which makes the user when the number is new.

    Raises CodeInvalid, AccountDisabled, AccountClosing, RateLimited.
    """
    signed_in = None
    with transaction.atomic():
        limits.refuse_if_failing(mobile=mobile, network=client.network)
        user = _user_by_code(mobile=mobile, digits=digits, client=client)
        if user is not None and user.is_active:
            _keep_signup_password(user, signup_token, client)
            signed_in = open_session(
                user=user, method=Session.AuthMethod.OTP, client=client, channel=channel
            )
    CODE_CHECKS.labels("refused" if user is None else "verified").inc()
    # Raised out here, as it would undo what was counted.
    if user is None:
        raise CodeInvalid
    if signed_in is None and Erasure.objects.filter(user=user).exists():
        raise AccountClosing
    if signed_in is None:
        raise AccountDisabled
    return signed_in


def _user_by_code(*, mobile: str, digits: str, client: Client) -> User | None:
    code = OneTimeCode.objects.live().filter(mobile=mobile).first()
    if code is None:
        limits.count_failure(mobile=mobile, client=client, is_guess=False)
        return None
    if not code.matches(digits):
        code.spend_try()
        limits.count_failure(mobile=mobile, client=client)
        return None
    return User.objects.verified(mobile) if code.use() else None


def _keep_signup_password(user: User, signup_token: str, client: Client) -> None:
    if not signup_token or user.has_password:
        return
    try:
        mobile, encoded = signing.loads(signup_token, salt=SIGNUP_SALT, max_age=SIGNUP_LIFETIME)
    except signing.BadSignature:
        return
    if mobile == user.mobile:
        user.password = encoded
        user.save(update_fields=["password"])
        AuditEvent.objects.record(
            AuditEvent.Action.PASSWORD_CHANGED, user_id=user.pk, client=client, by="signup_token"
        )


def sign_in_with_password(*, mobile: str, password: str, client: Client) -> SignedIn:
    """Raises InvalidCredentials, RateLimited."""
    user = check_credentials(mobile=mobile, password=password, client=client)
    with transaction.atomic():
        # A password that was changed while this one was hashed must not sign in any more.
        unchanged = User.objects.select_for_update(no_key=True).filter(
            pk=user.pk, password=user.password, is_active=True
        )
        if not unchanged.first():
            raise InvalidCredentials
        return open_session(user=user, method=Session.AuthMethod.PASSWORD, client=client)


def check_credentials(*, mobile: str, password: str, client: Client) -> User:
    """Whose number and password these are. Raises InvalidCredentials, RateLimited."""
    hits = limits.take_guess(mobile=mobile, client=client)
    user = User.objects.filter(mobile=mobile, is_active=True, is_verified=True).first()
    # Django spends the time of a hash on an unusable password as well.
    known = user or User(password=UNUSABLE_PASSWORD_PREFIX)
    if not known.check_password(password) or user is None:
        raise InvalidCredentials
    limits.give_back(hits)
    return user

"""Sign up and in: by a code sent to the number, or by a password.

Nothing here reveals whether a number has an account. Signing up and asking for a code read no
user, and a password is hashed for an unknown number as well.
"""

from dataclasses import dataclass
from functools import partial

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.db import transaction
from prometheus_client import Counter
from uuid_utils.compat import uuid7

from accounts.auth import absence, rate_limits, signup_tokens
from accounts.auth.hashers import hashing_permit
from accounts.auth.sessions import SignedIn, open_session
from accounts.models import AuditEvent, Erasure, LimitHit, OneTimeCode, Session, User
from accounts.models.audit import AccountAction
from gemchat.api.client_address import Client
from gemchat.api.errors import DomainError
from gemchat.celery import enqueue
from gemchat.stores.locks import Lock, advisory_lock

CODE_CHECKS = Counter("gemchat_code_checks", "One-time codes that people entered.", ["outcome"])

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
    message = "The account of this number is being erased. Sign up again when that is done."
    status = 409

    def __init__(self) -> None:
        super().__init__(retry_after=CLOSING_RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class IssuedCode:
    code: OneTimeCode
    resend_after_seconds: int


def sign_up(*, mobile: str, password: str, client: Client) -> str:
    """Seal the password of a sign-up into a token; return "" without a password.

    The person at the sign-up may not own the number. With a stored password, a stranger could
    choose the password and wait for the owner's verification of the number. So the password stays
    with the client, and has effect only beside a right code.
    """
    if not password:
        return ""
    with hashing_permit():
        rate_limits.count_signup(client=client)
        encoded = make_password(password)
    return signup_tokens.seal(mobile=mobile, encoded_password=encoded)


def send_code(*, mobile: str, client: Client | None, solution: str = "") -> IssuedCode:
    """Make a number's new code and enqueue it; `client` is None for staff.

    Raises RateLimited, ChallengeRequired, SmsBudgetSpent.
    """
    code_id = uuid7()
    with transaction.atomic():
        resend_after = rate_limits.count_sms(
            mobile=mobile, client=client, code_id=code_id, solution=solution
        )
        code = OneTimeCode.objects.issue(
            mobile=mobile, ip=client.ip if client else None, code_id=code_id
        )
        transaction.on_commit(partial(enqueue, "accounts.tasks.deliver_code", code.pk))
    return IssuedCode(code, resend_after)


def sign_in_with_code(
    *,
    mobile: str,
    digits: str,
    client: Client,
    signup_token: str = "",
    channel: Session.Channel = Session.Channel.API,
) -> SignedIn:
    """Sign in with a code; make the user of a new number.

    Raises CodeInvalid, AccountDisabled, AccountClosing, ConfirmationRequired, RateLimited.
    """
    signed_in, confirmation_token = None, ""
    with transaction.atomic():
        advisory_lock(Lock.RATE_LIMIT, mobile)
        user = _verify_code(mobile=mobile, digits=digits, client=client)
        if user is not None and user.is_active and user.is_absent:
            confirmation_token = absence.ask(user=user, client=client)
        elif user is not None and user.is_active:
            _set_signup_password(user, signup_token, client)
            signed_in = open_session(
                user=user, method=Session.AuthMethod.OTP, client=client, channel=channel
            )
    CODE_CHECKS.labels("refused" if user is None else "verified").inc()
    # Raised outside the transaction, since a rollback would undo the counts.
    if user is None:
        raise CodeInvalid
    if confirmation_token:
        raise absence.ConfirmationRequired(
            confirmation_token=confirmation_token,
            expires_in=int(absence.TOKEN_LIFETIME.total_seconds()),
            has_password=user.has_password,
        )
    if signed_in is None and Erasure.objects.filter(user=user).exists():
        raise AccountClosing
    if signed_in is None:
        raise AccountDisabled
    return signed_in


def _verify_code(*, mobile: str, digits: str, client: Client) -> User | None:
    """Compare a code with every active code of a number, under the number's lock."""
    codes = list(OneTimeCode.objects.active().filter(mobile=mobile).order_by("created_at"))
    is_own = any(code.is_from(client) for code in codes)
    if not is_own:
        rate_limits.check_code_failures(client=client)
    # A list, to compare every code even after a match.
    right = [code for code in codes if code.matches(digits) and code.has_try(client)]
    if right and right[0].use():
        rate_limits.refund(mobile=mobile)
        return User.objects.verified(mobile)
    for code in codes:
        code.spend_try(client)
    if not is_own:
        newest = codes[-1].pk if codes else None
        rate_limits.count_code_failure(mobile=mobile, client=client, code_id=newest)
    return None


def _set_signup_password(user: User, signup_token: str, client: Client) -> None:
    if not signup_token or user.has_password:
        return
    encoded = signup_tokens.open_seal(signup_token, mobile=user.mobile)
    if encoded is not None:
        user.password = encoded
        user.save(update_fields=["password"])
        AuditEvent.objects.record(
            AccountAction.PASSWORD_CHANGED, user_id=user.pk, client=client, by="signup_token"
        )


def confirm_account(
    *,
    token: str,
    password: str,
    client: Client,
    signup_token: str = "",
    channel: Session.Channel = Session.Channel.API,
) -> SignedIn:
    """Sign in after a long absence: by the account's password, or by a declaration.

    Raises ConfirmationInvalid, PasswordRequired, InvalidCredentials, RateLimited, Overloaded.
    """
    pending = absence.pending_user(token)
    if pending.has_password:
        if not password:
            raise absence.PasswordRequired
        pending.password = check_credentials(
            mobile=pending.mobile, password=password, client=client, is_login=True
        ).password
    with transaction.atomic():
        user = absence.claim(pending)
        by = "password" if user.has_password else "declaration"
        AuditEvent.objects.record(
            AccountAction.ACCOUNT_CONFIRMED, user_id=user.pk, client=client, by=by
        )
        _set_signup_password(user, signup_token, client)
        return open_session(
            user=user, method=Session.AuthMethod.OTP, client=client, channel=channel
        )


def start_new_account(
    *,
    token: str,
    client: Client,
    signup_token: str = "",
    channel: Session.Channel = Session.Channel.API,
) -> SignedIn:
    """Give the number of an absent account to a new account, and sign in there.

    Raises ConfirmationInvalid.
    """
    pending = absence.pending_user(token)
    with transaction.atomic():
        absence.release(absence.claim(pending), client=client)
        user = User.objects.verified(pending.mobile)
        _set_signup_password(user, signup_token, client)
        return open_session(
            user=user, method=Session.AuthMethod.OTP, client=client, channel=channel
        )


def sign_in_with_password(*, mobile: str, password: str, client: Client) -> SignedIn:
    """Raises InvalidCredentials, RateLimited, Overloaded."""
    user = check_credentials(mobile=mobile, password=password, client=client, is_login=True)
    with transaction.atomic():
        # A password changed during this hash must not sign in any more.
        unchanged = User.objects.select_for_update(no_key=True).filter(
            pk=user.pk, password=user.password, is_active=True
        )
        if not unchanged.first():
            raise InvalidCredentials
        return open_session(user=user, method=Session.AuthMethod.PASSWORD, client=client)


def check_credentials(
    *,
    mobile: str,
    password: str,
    client: Client,
    kind: LimitHit.Kind = LimitHit.Kind.PASSWORD_FAILURE,
    is_login: bool = False,
) -> User:
    """Return the user of a number and password; a wrong password counts as `kind`.

    Raises InvalidCredentials, RateLimited, Overloaded.
    """
    with hashing_permit():
        attempt = rate_limits.count_password_attempt(
            mobile=mobile, client=client, kind=kind, is_login=is_login
        )
        user = User.objects.filter(mobile=mobile, is_active=True, is_verified=True).first()
        # Django spends the time of a hash on an unusable password as well.
        known = user or User(password=UNUSABLE_PASSWORD_PREFIX)
        is_right = known.check_password(password) and user is not None
    rate_limits.correct_attempt(attempt, is_right=is_right)
    if not is_right or user is None:
        raise InvalidCredentials
    return user

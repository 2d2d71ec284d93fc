"""Changing a password."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts import limits
from accounts.client import Client
from accounts.hashers import hashing_permit
from accounts.models import AuditEvent, Session, User
from gemchat.errors import DomainError

# For so long after a code was entered, the session may set a password without the old one; after
# any sign-in, delete the account.
FRESH = timedelta(minutes=10)


class CurrentPasswordRequired(DomainError):
    code = "current_password_required"
    message = "Give the current password too, or sign in again with a code."
    status = 403


class CurrentPasswordWrong(DomainError):
    code = "current_password_wrong"
    message = "The current password is wrong."
    status = 403


def change_password(
    *, session: Session, new_password: str, current_password: str, client: Client
) -> None:
    """Set the user's password and end every other session.

    Raises CurrentPasswordRequired, CurrentPasswordWrong, RateLimited, Overloaded.
    """
    user = session.user
    # One permit for both hashes, before anything is counted or locked.
    with hashing_permit():
        if not _may_set_password(session):
            _check_current(user, current_password, client)
        with transaction.atomic():
            user.change_password(new_password, keep=session)
            AuditEvent.objects.record(
                AuditEvent.Action.PASSWORD_CHANGED, user_id=user.pk, client=client
            )


def _may_set_password(session: Session) -> bool:
    by_code = session.auth_method == Session.AuthMethod.OTP
    is_fresh = timezone.now() - session.authenticated_at < FRESH
    return (by_code and is_fresh) or not session.user.has_password


def _check_current(user: User, password: str, client: Client) -> None:
    if not password:
        raise CurrentPasswordRequired
    guess = limits.take_guess(mobile=user.mobile, client=client)
    is_right = user.check_password(password)
    limits.settle(guess, is_right=is_right)
    if not is_right:
        raise CurrentPasswordWrong

"""Changing a password."""

from django.db import transaction

from accounts.auth import rate_limits
from accounts.auth.hashers import hashing_permit
from accounts.auth.sessions import is_recent, require_recent_sign_in
from accounts.models import AuditEvent, Session, User
from accounts.models.audit import AccountAction
from gemchat.api.client_address import Client
from gemchat.api.errors import DomainError


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

    A recent sign-in by code needs no current password. Before the first password there is no
    current password. So the first password needs a recent sign-in by any method.

    Raises RecentSignInRequired, CurrentPasswordRequired, CurrentPasswordWrong, RateLimited,
    Overloaded.
    """
    user = session.user
    # One permit for both hashes, before any count or lock.
    with hashing_permit():
        if not user.has_password:
            require_recent_sign_in(session)
        elif not (session.auth_method == Session.AuthMethod.OTP and is_recent(session)):
            _check_current(user, current_password, client)
        with transaction.atomic():
            user.change_password(new_password, keep=session)
            AuditEvent.objects.record(
                AccountAction.PASSWORD_CHANGED, user_id=user.pk, client=client
            )


def _check_current(user: User, password: str, client: Client) -> None:
    if not password:
        raise CurrentPasswordRequired
    attempt = rate_limits.count_password_attempt(mobile=user.mobile, client=client)
    is_right = user.check_password(password)
    rate_limits.correct_attempt(attempt, is_right=is_right)
    if not is_right:
        raise CurrentPasswordWrong

"""A sign-in by code after a long absence: the number may be another person's.

The right code then opens no session. The answer has a token, and the token takes one decision.
"""

import uuid
from datetime import datetime, timedelta
from functools import partial

from django.core import signing
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.auth.closing import close_account
from accounts.models import AuditEvent, Erasure, User
from accounts.models.audit import AccountAction
from gemchat.api.client_address import Client
from gemchat.api.errors import DomainError
from gemchat.celery import enqueue
from gemchat.stores.locks import Lock, advisory_lock

TOKEN_LIFETIME = timedelta(minutes=10)
SALT = "accounts.absence"
# Support can give an account without its number back for so long.
RELEASED_LIFETIME = timedelta(days=30)


class ConfirmationRequired(DomainError):
    code = "confirmation_required"
    message = "Nobody used the account of this number for a long time. Confirm that it is yours."
    status = 403


class ConfirmationInvalid(DomainError):
    code = "confirmation_invalid"
    message = "This confirmation has expired or is used. Ask for a new code."
    status = 400


class PasswordRequired(DomainError):
    code = "password_required"
    message = "Give the password of the account too."
    status = 403


class NotRestorable(Exception):
    """The account has its number, or its data is being erased."""


def ask(*, user: User, client: Client) -> str:
    """Return the token for one decision on this account."""
    AuditEvent.objects.record(AccountAction.CONFIRMATION_REQUIRED, user_id=user.pk, client=client)
    return signing.dumps([str(user.pk), user.mobile, user.last_seen_at.isoformat()], salt=SALT)


def pending_user(token: str) -> User:
    """Return the user of a token, as the token describes the user. Raises ConfirmationInvalid."""
    try:
        user_id, mobile, seen_at = signing.loads(token, salt=SALT, max_age=TOKEN_LIFETIME)
    except signing.BadSignature as error:
        raise ConfirmationInvalid from error
    user = User.objects.filter(pk=uuid.UUID(user_id)).first()
    if user is None:
        raise ConfirmationInvalid
    user.mobile, user.last_seen_at = mobile, datetime.fromisoformat(seen_at)
    return user


def claim(pending: User) -> User:
    """Lock the account of a token for a decision. Raises ConfirmationInvalid.

    Each decision changes `last_seen_at` or the number. So of two decisions at once, one wins, and
    a sign-in by password meanwhile wins over both. The lock of the number comes first, as in a
    sign-in by code.
    """
    advisory_lock(Lock.RATE_LIMIT, pending.mobile)
    user = (
        User.objects.select_for_update()
        .filter(
            pk=pending.pk,
            mobile=pending.mobile,
            last_seen_at=pending.last_seen_at,
            password=pending.password,
            is_active=True,
        )
        .first()
    )
    if user is None:
        raise ConfirmationInvalid
    return user


def release(user: User, *, client: Client) -> None:
    """Close an account and free its number, in the caller's transaction.

    The subscription ends now, the data stays for RELEASED_LIFETIME.
    """
    AuditEvent.objects.record(
        AccountAction.NUMBER_RELEASED, user_id=user.pk, mobile=user.mobile, client=client
    )
    user.release_number()
    erasure = close_account(user=user, not_before=timezone.now() + RELEASED_LIFETIME)
    # privacy ends the subscription, and erases the rows of all apps above accounts.
    transaction.on_commit(partial(enqueue, "privacy.tasks.erase_user", erasure.pk))


def restore(*, user_id: uuid.UUID, mobile: str, actor: str) -> User:
    """Give a released account back, under another number. Raises NotRestorable."""
    with transaction.atomic():
        advisory_lock(Lock.RATE_LIMIT, mobile)
        user = User.objects.select_for_update().filter(pk=user_id).first()
        if user is None:
            raise NotRestorable("There is no account with this id.")
        if User.objects.filter(mobile=mobile).exists():
            raise NotRestorable(f"The number {mobile} has an account already.")
        waiting = Erasure.objects.filter(user=user, not_before__gt=Now())
        if not waiting.delete()[0]:
            raise NotRestorable("The account has a number, or its data is being erased.")
        user.reopen(mobile=mobile)
        AuditEvent.objects.record(
            AccountAction.ACCOUNT_RESTORED, user_id=user.pk, mobile=mobile, actor=actor
        )
    return user

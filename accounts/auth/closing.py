"""The end of an account: closed at once, erased in the background. `privacy.erasure`
goes through all the steps; here is what accounts keep."""

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session as BrowserSession
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_celery_results.models import TaskResult

from accounts.auth import rate_limits
from accounts.models import AuditAddress, AuditEvent, Erasure, OneTimeCode, User
from accounts.models.audit import AccountAction
from gemchat.api.client_address import Client


def close_account(*, user: User, client: Client | None = None, actor: str = "") -> Erasure:
    """Shut a user out from the next request on, to be erased; again, nothing changes.

    The number stays the user's until the erasure is done, since Stripe may still charge for the
    account; whoever signs in with it meanwhile is told to wait.
    """
    with transaction.atomic():
        # The lock keeps two requests from both closing it.
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        now = timezone.now()
        erasure, is_new = Erasure.objects.get_or_create(
            user=user, defaults={"requested_at": now, "next_try_at": now, "actor": actor}
        )
        if is_new:
            user.close()
            AuditEvent.objects.record(
                AccountAction.ACCOUNT_CLOSED, user_id=user.pk, client=client, actor=actor
            )
    return erasure


def erase_account(user: User, *, actor: str = "") -> None:
    """Delete a user with all that accounts keep; the audit keeps that it happened."""
    with transaction.atomic():
        AuditEvent.objects.record(
            AccountAction.USER_DELETED, user_id=user.pk, mobile=user.mobile, actor=actor
        )
        AuditAddress.objects.erase(user_id=user.pk, mobile=user.mobile)
        OneTimeCode.objects.filter(mobile=user.mobile).delete()
        rate_limits.make_nameless(mobile=user.mobile)
        rate_limits.forget_user(user.pk)
        forget_in_admin(user)
        forget_failures(str(user.pk), user.mobile)
        user.delete()


def forget_in_admin(user: User) -> None:
    """End the user's sessions in the admin, and delete what it shows of changes to the user."""
    own = [
        session.pk
        for session in BrowserSession.objects.iterator()
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    BrowserSession.objects.filter(pk__in=own).delete()
    LogEntry.objects.filter(
        Q(object_id=str(user.pk))
        | Q(object_repr__contains=user.mobile)
        | Q(change_message__contains=user.mobile)
    ).delete()


def forget_failures(*names: str) -> None:
    """Delete the results of failed tasks whose error tells any of these; the rest are kept."""
    for name in names:
        TaskResult.objects.filter(Q(result__contains=name) | Q(traceback__contains=name)).delete()

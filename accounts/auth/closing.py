"""Closing an account: at once. `privacy.erasure` erases the user in the background."""

from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import AuditEvent, Erasure, User
from accounts.models.audit import AccountAction
from gemchat.api.client_address import Client


def close_account(
    *,
    user: User,
    client: Client | None = None,
    actor: str = "",
    not_before: datetime | None = None,
) -> Erasure:
    """Shut a user out from the next request on; a repeat changes nothing.

    The data stays until `not_before`; a repeat without `not_before` ends this wait. The number
    stays the user's until the erasure is done, since Stripe may still charge for the account. A
    sign-in with the number is refused meanwhile.
    """
    with transaction.atomic():
        # The lock keeps two requests from closing the same account.
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        erasure, is_new = Erasure.objects.get_or_create(
            user=user,
            defaults={
                "requested_at": timezone.now(),
                "next_try_at": Now(),
                "not_before": not_before,
                "actor": actor,
            },
        )
        if is_new:
            user.close()
            AuditEvent.objects.record(
                AccountAction.ACCOUNT_CLOSED, user_id=user.pk, client=client, actor=actor
            )
        elif erasure.not_before and not_before is None:
            # An account without its number, and its owner does not want to wait.
            erasure.make_due()
    return erasure

"""The erasure of a user with a closed account, in the background.

The erasure of an account without its number ends the subscription at once, and waits for its date.

A worker may die in any step. The sweep gives the erasure to another worker, which repeats all
steps. Active replies are stopped first. Then the customer at Stripe is deleted; nothing is erased
before this success. Large tables are erased in batches, so that no lock is held for long.
"""

import logging
import uuid
from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from accounts import personal_data as accounts
from accounts.models import Erasure, User
from billing import personal_data as billing
from billing.models import ErasedQuota
from billing.stripe.checkout import cancel_for_erasure
from billing.stripe.client import BillingNotConfigured, PaymentUnavailable
from chatrooms import list_cache
from chatrooms.models import Chatroom
from files import personal_data as files
from gemchat.stores.errors import DATABASE_ERRORS
from messaging.conversation.deletion import erase_batch, stop_replies
from messaging.models import Message

logger = logging.getLogger(__name__)

# A worker ends a stopped reply within a second, unless the worker died.
REPLY_WAIT_SECONDS = 2
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 30, 3600
WAITS_FOR_REPLY = "A worker still has a reply of the user's."
INTERNAL = "An error of this program; see the failed tasks."


def erase_user(*, erasure_id: uuid.UUID) -> bool:
    """Claim an erasure and run the steps, as far as possible now.

    Returns True if the erasure waits for the end of a reply, and should be retried in a moment.
    """
    erasure = Erasure.objects.claim(erasure_id)
    if erasure is None:
        return False
    try:
        stop_replies(Message.objects.filter(user=erasure.user))
        cancel_for_erasure(erasure.user)
        if wait := erasure.early_seconds:
            erasure.put_off(seconds=wait)
            return False
        for _ in erase_in_batches(erasure.user):
            if not erasure.keep_lease():
                return False
        is_erased = erase_rest(erasure)
    except (PaymentUnavailable, BillingNotConfigured) as error:
        logger.error("Erasure %s waits: %s", erasure.pk, error)
        postpone(erasure, error=str(error))
        return False
    except DATABASE_ERRORS:
        # The lease expires, and the sweep gives the erasure to a worker with a database.
        raise
    except Exception:
        # The edge of the task: staff see the error, and the sweep retries.
        postpone(erasure, error=INTERNAL)
        raise
    if not is_erased:
        postpone(erasure, error=WAITS_FOR_REPLY, seconds=REPLY_WAIT_SECONDS)
    return not is_erased


def erase_in_batches(user: User) -> Iterator[None]:
    """Erase the user's rooms and files, and detach the ledger; yields after each batch."""
    rooms = Chatroom.objects.filter(user=user)
    rooms.mark_deleted(now=timezone.now())
    for chatroom_id in rooms.values_list("pk", flat=True).iterator():
        while erase_batch(chatroom_id):
            yield
        yield
    yield from files.erase(user)
    yield from billing.erase(user)


def erase_rest(erasure: Erasure) -> bool:
    """Delete the user; return False while a customer or a room is left."""
    list_cache.delete_lists(erasure.user_id)
    with transaction.atomic():
        # Requests from before the closure of the account can add nothing after this lock.
        user = User.objects.select_for_update().filter(pk=erasure.user_id).first()
        if user is None:  # Another worker was faster.
            return True
        if user.stripe_customer_id or Chatroom.objects.filter(user=user).exists():
            return False
        ErasedQuota.objects.carry(user=user)
        accounts.erase(user, actor=erasure.actor)
    return True


def postpone(erasure: Erasure, *, error: str, seconds: float | None = None) -> None:
    if seconds is None:
        doubled = FIRST_BACKOFF_SECONDS * 2 ** min(erasure.tries - 1, 10)
        seconds = min(doubled, LONGEST_BACKOFF_SECONDS)
    erasure.put_off(seconds=seconds, error=error)

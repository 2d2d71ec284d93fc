"""Replay of a failed webhook from its stored delivery."""

from django.db import transaction
from djstripe.models import WebhookEventTrigger
from djstripe.signals import webhook_pre_process

from billing.stripe import sync
from billing.stripe.client import Caller, stripe_calls
from gemchat.api.errors import DomainError


class NothingToReplay(DomainError):
    code = "nothing_to_replay"
    message = "This delivery did not fail, or has been taken in since."
    status = 409


def replay(delivery: WebhookEventTrigger) -> None:
    """Do the work of the delivery; every handler reads the state at Stripe.

    A delivery is replayed once, also for several requests at the same time. Raises NothingToReplay,
    PaymentUnavailable, BillingNotConfigured; the delivery then stays as failed as before.
    """
    sync.prepare_api_key()
    with stripe_calls(caller=Caller.STAFF), transaction.atomic():
        failed = (
            WebhookEventTrigger.objects.select_for_update()
            .filter(pk=delivery.pk, valid=True)
            .exclude(exception="")
            .first()
        )
        if failed is None:
            raise NothingToReplay
        # The customer's lock, as at the first delivery.
        webhook_pre_process.send(sender=WebhookEventTrigger, instance=failed)
        failed.process()

"""dj-stripe's rows brought up to what Stripe has now, one customer at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import stripe
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from djstripe.models import (
    APIKey,
    Customer,
    Event,
    Session,
    Subscription,
    WebhookEventTrigger,
)

from accounts.models import User
from billing.entitlement import refresh_customer, refresh_tiers
from billing.stripe_api import is_missing


def lock_customer(customer_id: str) -> None:
    """Wait for whoever else brings this customer up to date; held to the transaction's end.

    It has to be taken before Stripe is asked. Otherwise an older answer could be stored over a
    newer one, and stay.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"stripe:{customer_id}"]
        )


@contextmanager
def updating(customer_id: str) -> Iterator[None]:
    """A transaction in which the customer's rows, and then the tier, change.

    Stripe is asked inside it. That is the one place where a transaction is held across the
    network; it holds up nothing but this customer's own events, and Stripe's timeouts are short.
    """
    with transaction.atomic():
        lock_customer(customer_id)
        yield
        refresh_customer(customer_id)


def sync_subscription(*, subscription_id: str, customer_id: str) -> None:
    """Bring one subscription and its customer's tier up to date; one that is gone is removed."""
    with updating(customer_id):
        try:
            found = stripe.Subscription.retrieve(subscription_id)
        except stripe.InvalidRequestError as error:
            if not is_missing(error):
                raise
            Subscription.objects.filter(id=subscription_id).delete()
        else:
            store(found)


def sync_customer(customer_id: str) -> None:
    """Bring all subscriptions of a customer up to date, and the tier."""
    with updating(customer_id):
        for found in stripe.Subscription.list(
            customer=customer_id, status="all", limit=100
        ).auto_paging_iter():
            store(found)


def store(subscription: stripe.Subscription) -> None:
    forget_old_keys()
    Subscription.sync_from_stripe_data(subscription, api_key=settings.STRIPE_SECRET_KEY)


def forget_old_keys() -> None:
    """dj-stripe keeps every API key that it has met, and goes on using the first of them."""
    APIKey.objects.exclude(secret=settings.STRIPE_SECRET_KEY).delete()


def forget_link(customer_id: str) -> None:
    """The customer is deleted at Stripe: its user has none, and is Pro by a grant at the most."""
    with transaction.atomic():
        lock_customer(customer_id)
        owners = list(
            User.objects.filter(stripe_customer_id=customer_id).values_list("pk", flat=True)
        )
        User.objects.filter(pk__in=owners).update(stripe_customer_id=None)
        refresh_tiers(owners)


def forget_customer(customer_id: str) -> None:
    """Remove what is kept here about a customer: rows, and events that speak of it."""
    with transaction.atomic():
        forget_link(customer_id)
        events = Event.objects.filter(
            Q(data__object__customer=customer_id) | Q(data__object__id=customer_id)
        )
        WebhookEventTrigger.objects.filter(event__in=events).delete()
        events.delete()
        Session.objects.filter(customer_id=customer_id).delete()
        Customer.objects.filter(id=customer_id).delete()

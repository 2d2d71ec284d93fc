"""Sync of dj-stripe's rows with Stripe, one customer at a time."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import stripe
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Replace
from djstripe.enums import APIKeyType
from djstripe.models import APIKey, Customer, Event, Subscription, WebhookEventTrigger

from accounts.models import User
from accounts.personal_data import delete_task_results
from billing.entitlement import refresh_customer, refresh_tiers
from billing.models import ErasedCustomer, Flag
from billing.stripe.client import is_missing
from gemchat.stores.locks import Lock, advisory_lock


def lock_customer(customer_id: str) -> None:
    """Lock a customer's rows until the transaction ends.

    The lock comes before the call to Stripe. Otherwise an older answer could overwrite a newer
    answer, and stay.
    """
    advisory_lock(Lock.STRIPE_CUSTOMER, customer_id)


@contextmanager
def customer_update(customer_id: str) -> Iterator[None]:
    """Open a transaction for changes of the customer's rows, and then of the tier.

    Stripe is called inside the transaction. No other transaction is held across the network. The
    transaction delays this customer's own events alone, and Stripe's timeouts are short.
    """
    with transaction.atomic():
        lock_customer(customer_id)
        yield
        refresh_customer(customer_id)


def sync_subscription(*, subscription_id: str, customer_id: str) -> None:
    """Sync one subscription and the customer's tier; remove a deleted subscription."""
    with customer_update(customer_id):
        try:
            found = stripe.Subscription.retrieve(subscription_id)
        except stripe.InvalidRequestError as error:
            if not is_missing(error):
                raise
            Subscription.objects.filter(id=subscription_id).delete()
        else:
            save_subscription(found)


def sync_customer(customer_id: str) -> None:
    """Sync all subscriptions of a customer, and the tier."""
    with customer_update(customer_id):
        for found in stripe.Subscription.list(
            customer=customer_id, status="all", limit=100
        ).auto_paging_iter():
            save_subscription(found)


def save_subscription(subscription: stripe.Subscription) -> None:
    prepare_api_key()
    Subscription.sync_from_stripe_data(subscription, api_key=settings.STRIPE_SECRET_KEY)


def prepare_api_key() -> None:
    """Leave dj-stripe only the key in use; dj-stripe would use the first stored key.

    dj-stripe reads the account of each secret and restricted key. No permission lets a restricted
    key read the account. A key stored as publishable is not asked for its account.
    """
    APIKey.objects.exclude(secret=settings.STRIPE_SECRET_KEY).delete()
    if settings.STRIPE_SECRET_KEY.startswith("rk_"):
        APIKey.objects.get_or_create(
            secret=settings.STRIPE_SECRET_KEY,
            defaults={"type": APIKeyType.publishable, "livemode": settings.STRIPE_LIVE_MODE},
        )


def unlink_customer(customer_id: str) -> None:
    """Unlink a deleted customer from the user, and derive the tier."""
    with transaction.atomic():
        lock_customer(customer_id)
        owners = list(
            User.objects.filter(stripe_customer_id=customer_id).values_list("pk", flat=True)
        )
        User.objects.filter(pk__in=owners).update(stripe_customer_id=None)
        refresh_tiers(owners)


def erase_customer(customer_id: str) -> None:
    """Erase a customer: mirrored rows, events, and the name in flags.

    Later events of the customer are not stored any more; see `is_erased`.
    """
    with transaction.atomic():
        lock_customer(customer_id)
        ErasedCustomer.objects.get_or_create(digest=customer_digest(customer_id))
        unlink_customer(customer_id)
        events = Event.objects.filter(customer_events(customer_id))
        WebhookEventTrigger.objects.filter(
            Q(event__in=events) | Q(body__contains=customer_id)
        ).delete()
        events.delete()
        for rows in mirrored_rows(customer_id):
            rows.delete()
        Flag.objects.filter(note__contains=customer_id).update(
            note=Replace("note", Value(customer_id), Value("an erased customer"))
        )
        delete_task_results(customer_id)


def is_erased(customer_id: str) -> bool:
    """Check whether a customer was erased.

    Stripe still sends events of a deleted customer, and lists the customer's subscriptions. Such
    rows would name the person for good.
    """
    return ErasedCustomer.objects.filter(digest=customer_digest(customer_id)).exists()


def customer_digest(customer_id: str) -> bytes:
    """Return the digest of an id; the id is too long for a guess."""
    return hashlib.sha256(customer_id.encode()).digest()


def customer_events(customer_id: str) -> Q:
    """Match the events of a customer."""
    return Q(data__object__customer=customer_id) | Q(data__object__id=customer_id)


def mirrored_rows(customer_id: str) -> Iterator[QuerySet]:
    """Yield all rows of a customer in dj-stripe's tables, the customer's own last."""
    for model in apps.get_app_config("djstripe").get_models():
        try:
            field = model._meta.get_field("customer")
        except FieldDoesNotExist:
            continue
        if field.related_model is Customer and field.concrete:
            yield model._default_manager.filter(customer__id=customer_id)
    yield Customer.objects.filter(id=customer_id)

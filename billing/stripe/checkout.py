"""From a user to a paying customer: the customer at Stripe, Checkout, and the portal.

No transaction is open during a call to Stripe. Two requests at the same time derive the same
idempotency keys, so each step happens once.
"""

import hashlib
import time

import stripe
from django.conf import settings
from djstripe.models import Customer, Session

from accounts.models import User
from billing.entitlement import ENTITLING, paid_subscriptions
from billing.plans import plan_for_tier
from billing.stripe import sync
from billing.stripe.client import is_missing, plain, stripe_calls
from gemchat.api.errors import DomainError

# A Checkout page with an earlier end is not given out again.
LEAST_SECONDS_LEFT = 300
# A payment or a resumption at Stripe makes these statuses `active`.
UNFINISHED = ("unpaid", "incomplete", "paused")
SESSION_ID = "{CHECKOUT_SESSION_ID}"


class AlreadySubscribed(DomainError):
    code = "already_subscribed"
    message = "You are subscribed to Pro already."
    status = 409


class NoCustomer(DomainError):
    code = "not_subscribed"
    message = "You have never subscribed, so there is nothing to manage."
    status = 409


def start_checkout(*, user: User, success_url: str, cancel_url: str) -> stripe.checkout.Session:
    """Return the user's Checkout page: the open page, or a new page.

    Raises AlreadySubscribed, PaymentUnavailable, BillingNotConfigured, RateLimited.
    """
    with stripe_calls(counted_for=user):
        if user.stripe_customer_id and paid_subscriptions(user.stripe_customer_id):
            raise AlreadySubscribed
        customer_id = _active_customer(user)
        of_pro = _subscriptions_of_pro(customer_id)
        if any(subscription.status in ENTITLING for subscription in of_pro):
            # The webhook was lost or is yet to come.
            sync.sync_customer(customer_id)
            raise AlreadySubscribed
        _end_unfinished(of_pro, customer_id)
        session = _open_session(user, customer_id, with_session_id(success_url), cancel_url)
        sync.prepare_api_key()
        Session.sync_from_stripe_data(session, api_key=settings.STRIPE_SECRET_KEY)
    return session


def open_portal(*, user: User, return_url: str) -> str:
    """Return the URL of Stripe's page for card, invoices and subscription."""
    with stripe_calls(counted_for=user):
        if not user.stripe_customer_id:
            raise NoCustomer
        configuration = settings.STRIPE_PORTAL_CONFIGURATION
        session = stripe.billing_portal.Session.create(
            customer=user.stripe_customer_id,
            return_url=return_url,
            **({"configuration": configuration} if configuration else {}),
        )
    return session.url


def cancel_for_erasure(user: User) -> None:
    """Delete the customer of a user before the user's erasure.

    Deleting the customer ends all subscriptions at once, and any open Checkout page; Stripe keeps
    the invoices. The mirrored data about the person goes too. Call this function before the
    erasure, and again after PaymentUnavailable or BillingNotConfigured.
    """
    customer_id = user.stripe_customer_id
    if not customer_id:
        return
    with stripe_calls():
        try:
            stripe.Customer.delete(customer_id)
        except stripe.InvalidRequestError as error:
            if not is_missing(error):
                raise
    sync.erase_customer(customer_id)


def with_session_id(success_url: str) -> str:
    """Return the URL with Stripe's placeholder for the session's id.

    The success page needs the id.
    """
    if SESSION_ID in success_url:
        return success_url
    return f"{success_url}{'&' if '?' in success_url else '?'}session_id={SESSION_ID}"


def _active_customer(user: User) -> str:
    """Return the user's customer; make a new customer after a deletion at Stripe."""
    customer_id = _customer_of(user)
    if _is_alive(customer_id):
        return customer_id
    sync.unlink_customer(customer_id)
    return _customer_of(user)


def _is_alive(customer_id: str) -> bool:
    try:
        return not getattr(stripe.Customer.retrieve(customer_id), "deleted", False)
    except stripe.InvalidRequestError as error:
        if not is_missing(error):
            raise
        return False


def _customer_of(user: User) -> str:
    # Counted before the link is read. A customer is linked before the mirroring. So a request with
    # the customer in its count finds the link too. Any other request makes the same customer by the
    # same key. A customer deleted at Stripe still counts, since the old key would bring the
    # customer back.
    made_before = Customer.objects.filter(metadata__user_id=str(user.pk)).count()
    user.refresh_from_db(fields=["stripe_customer_id"])
    if user.stripe_customer_id:
        return user.stripe_customer_id
    customer = stripe.Customer.create(
        metadata={"user_id": str(user.pk)},
        idempotency_key=f"customer:{user.pk}:{made_before}",
    )
    User.objects.filter(pk=user.pk, stripe_customer_id=None).update(stripe_customer_id=customer.id)
    sync.prepare_api_key()
    Customer.sync_from_stripe_data(customer, api_key=settings.STRIPE_SECRET_KEY)
    user.refresh_from_db(fields=["stripe_customer_id"])
    return user.stripe_customer_id or customer.id


def _subscriptions_of_pro(customer_id: str) -> list[stripe.Subscription]:
    found = stripe.Subscription.list(customer=customer_id, status="all", limit=100)
    return [
        subscription
        for subscription in found.auto_paging_iter()
        if any(
            item.price.id in plan_for_tier(User.Tier.PRO).stripe_price_ids
            for item in subscription["items"].data
        )
    ]


def _end_unfinished(of_pro: list[stripe.Subscription], customer_id: str) -> None:
    """End subscriptions that a late payment would make a second paid subscription."""
    unfinished = [each for each in of_pro if each.status in UNFINISHED]
    for subscription in unfinished:
        try:
            stripe.Subscription.cancel(subscription.id)
        except stripe.InvalidRequestError as error:
            # Another request has ended the subscription.
            if not is_missing(error):
                raise
    if unfinished:
        sync.sync_customer(customer_id)


def _open_session(
    user: User, customer_id: str, success_url: str, cancel_url: str
) -> stripe.checkout.Session:
    """Return the customer's one open Checkout page; end a page with another price."""
    price = plan_for_tier(User.Tier.PRO).stripe_price_ids[0]
    latest = next(iter(stripe.checkout.Session.list(customer=customer_id, limit=1).data), None)
    urls = hashlib.sha256(f"{success_url}\n{cancel_url}".encode()).hexdigest()[:16]
    if latest is not None and latest.status == "open":
        metadata = plain(latest)["metadata"]
        lasts = latest.expires_at > time.time() + LEAST_SECONDS_LEFT
        if lasts and metadata.get("price") == price and metadata.get("urls") == urls:
            return latest
        stripe.checkout.Session.expire(latest.id)
    after = latest.id if latest else "none"
    return stripe.checkout.Session.create(
        mode="subscription",
        customer=customer_id,
        client_reference_id=str(user.pk),
        line_items=[{"price": price, "quantity": 1}],
        success_url=success_url,
        cancel_url=cancel_url,
        metadata={"user_id": str(user.pk), "price": price, "urls": urls},
        subscription_data={"metadata": {"user_id": str(user.pk)}},
        idempotency_key=f"checkout:{customer_id}:{price}:{urls}:{after}",
    )

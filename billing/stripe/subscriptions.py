"""The user's subscription: state, cancelling and resuming."""

from datetime import UTC, datetime
from typing import Any

import stripe
from django.conf import settings
from djstripe.models import Subscription

from accounts.models import User
from billing.entitlement import ENDED, has_price_of, paid_subscriptions
from billing.models import DailyQuota
from billing.stripe import sync
from billing.stripe.client import stripe_calls
from gemchat.api.errors import DomainError


class NotSubscribed(DomainError):
    code = "not_subscribed"
    message = "You have no running subscription."
    status = 409


def current_subscription(user: User) -> Subscription | None:
    """Return the user's entitling subscription, or the latest unfinished subscription."""
    if not user.stripe_customer_id:
        return None
    entitling = paid_subscriptions(user.stripe_customer_id)
    if entitling:
        return entitling[0]
    unfinished = Subscription.objects.filter(
        has_price_of(*settings.PLANS.values()), customer_id=user.stripe_customer_id
    )
    return unfinished.exclude(stripe_data__status__in=ENDED).order_by("-created").first()


def cancel_at_period_end(*, user: User) -> None:
    """Let the subscription end with the paid period; a repeat changes nothing.

    Raises NotSubscribed, PaymentUnavailable, BillingNotConfigured, RateLimited.
    """
    with stripe_calls(counted_for=user):
        subscription = _running(user)
        if not is_ending(subscription.stripe_data):
            _modify(subscription, cancel_at_period_end=True)


def resume(*, user: User) -> None:
    """Take a cancellation back before the effect; raise like `cancel_at_period_end`."""
    with stripe_calls(counted_for=user):
        subscription = _running(user)
        known = subscription.stripe_data
        # Stripe refuses both changes in one call. An empty `cancel_at` unsets the date.
        if known.get("cancel_at_period_end"):
            _modify(subscription, cancel_at_period_end=False)
        elif known.get("cancel_at"):
            _modify(subscription, cancel_at="")


def billing_status(user: User) -> dict[str, Any]:
    """Return the answer of `subscription/status`, with and without Stripe."""
    user.refresh_from_db(fields=["tier", "stripe_customer_id"])
    quota = DailyQuota.objects.usage(user=user)
    subscription = current_subscription(user)
    return {
        "tier": user.tier,
        "daily_limit": quota.limit,
        "daily_usage": quota.used,
        "remaining_usage": quota.remaining,
        "resets_at": quota.as_json()["resets_at"],
        "subscription": describe(subscription.stripe_data) if subscription else None,
    }


def describe(stripe_data: dict[str, Any]) -> dict[str, Any]:
    ends = period_end(stripe_data)
    return {
        "status": stripe_data["status"],
        "current_period_end": f"{ends:%Y-%m-%dT%H:%M:%SZ}" if ends else None,
        "cancel_at_period_end": is_ending(stripe_data),
    }


def is_ending(stripe_data: dict[str, Any]) -> bool:
    """Check for an end: at the period's end, or at a date (`cancel_at`)."""
    return bool(stripe_data.get("cancel_at_period_end") or stripe_data.get("cancel_at"))


def period_end(stripe_data: dict[str, Any]) -> datetime | None:
    """Return the end of the paid period; Stripe keeps the end in the items."""
    ends = [item["current_period_end"] for item in stripe_data["items"]["data"]]
    return datetime.fromtimestamp(max(ends), UTC) if ends else None


def _running(user: User) -> Subscription:
    running = paid_subscriptions(user.stripe_customer_id) if user.stripe_customer_id else []
    if not running:
        raise NotSubscribed
    return running[0]


def _modify(subscription: Subscription, **changes: Any) -> None:
    try:
        stripe.Subscription.modify(subscription.id, **changes)
    except stripe.InvalidRequestError as error:
        # The subscription is over, and the webhook was lost or is yet to come.
        sync.sync_subscription(
            subscription_id=subscription.id, customer_id=subscription.customer_id
        )
        subscription.refresh_from_db()
        if subscription.stripe_data["status"] in ENDED:
            raise NotSubscribed from error
        raise
    sync.sync_subscription(subscription_id=subscription.id, customer_id=subscription.customer_id)

"""The user's subscription: state, cancelling and resuming."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import stripe
from django.conf import settings
from djstripe.models import Subscription

from accounts.models import User
from billing.entitlement import ENDED, has_price_of, paid_subscriptions
from billing.models import DailyQuota
from billing.plans import plan_for_user
from billing.stripe import sync
from billing.stripe.client import stripe_calls
from gemchat.api.errors import DomainError

logger = logging.getLogger(__name__)


class NotSubscribed(DomainError):
    code = "not_subscribed"
    message = "You have no running subscription."
    status = 409


class SubscriptionScheduled(DomainError):
    code = "subscription_scheduled"
    message = "Your subscription has a schedule. Please change the subscription in the portal."
    status = 409


def current_subscriptions(user: User) -> list[Subscription]:
    """Return the entitling subscriptions, or else the latest unfinished subscription."""
    if not user.stripe_customer_id:
        return []
    entitling = paid_subscriptions(user.stripe_customer_id)
    if entitling:
        return entitling
    unfinished = Subscription.objects.filter(
        has_price_of(*settings.PLANS.values()), customer_id=user.stripe_customer_id
    )
    return list(unfinished.exclude(stripe_data__status__in=ENDED).order_by("-created")[:1])


def cancel_at_period_end(*, user: User) -> None:
    """Let every paid subscription end with the paid period; a repeat changes nothing.

    Raises NotSubscribed, SubscriptionScheduled, PaymentUnavailable, BillingNotConfigured,
    RateLimited.
    """
    with stripe_calls(counted_for=user), _paid_at_stripe(user) as subscriptions:
        for subscription in subscriptions:
            if not is_ending(subscription.stripe_data):
                _modify(subscription, cancel_at_period_end=True)


def resume(*, user: User) -> None:
    """Take every cancellation back before the effect; raise like `cancel_at_period_end`."""
    with stripe_calls(counted_for=user), _paid_at_stripe(user) as subscriptions:
        for subscription in subscriptions:
            known = subscription.stripe_data
            # Stripe refuses both changes in one call. An empty `cancel_at` unsets the date.
            if known.get("cancel_at_period_end"):
                _modify(subscription, cancel_at_period_end=False)
            elif known.get("cancel_at"):
                _modify(subscription, cancel_at="")


def billing_status(user: User) -> dict[str, Any]:
    """Return the answer of `subscription/status`, with and without Stripe."""
    user.refresh_from_db(fields=["tier", "stripe_customer_id"])
    plan = plan_for_user(user)
    quota = DailyQuota.objects.usage(user=user)
    subscriptions = current_subscriptions(user)
    return {
        "tier": user.tier,
        "daily_limit": quota.limit,
        "daily_usage": quota.used,
        "remaining_usage": quota.remaining,
        "resets_at": quota.as_json()["resets_at"],
        "files": {
            "max_bytes": plan.file_max_bytes,
            "max_per_message": plan.files_per_message,
            "max_tokens_per_message": plan.file_tokens,
        },
        "subscription": describe([each.stripe_data for each in subscriptions])
        if subscriptions
        else None,
    }


def describe(subscriptions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the state of several subscriptions as one.

    The state ends when all of them end. The date is the next renewal, or the last end when all of
    them end.
    """
    renewed = [each for each in subscriptions if not is_ending(each)]
    ends = [end for each in renewed or subscriptions if (end := period_end(each))]
    end = min(ends, default=None) if renewed else max(ends, default=None)
    pause = next((each["pause_collection"] for each in subscriptions if is_paused(each)), None)
    return {
        "status": subscriptions[0]["status"],
        "count": len(subscriptions),
        "current_period_end": _as_text(end),
        "cancel_at_period_end": not renewed,
        "collection_paused": pause is not None,
        "collection_resumes_at": _as_text(pause and _moment(pause.get("resumes_at"))),
    }


def is_paused(stripe_data: dict[str, Any]) -> bool:
    """Check for a pause of Stripe's collection of payments; the status stays `active`."""
    return bool(stripe_data.get("pause_collection"))


def _moment(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _as_text(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


def is_ending(stripe_data: dict[str, Any]) -> bool:
    """Check for an end: at the period's end, or at a date (`cancel_at`)."""
    return bool(stripe_data.get("cancel_at_period_end") or stripe_data.get("cancel_at"))


def period_end(stripe_data: dict[str, Any]) -> datetime | None:
    """Return the end of the paid period; Stripe keeps the end in the items."""
    ends = [item["current_period_end"] for item in stripe_data["items"]["data"]]
    return datetime.fromtimestamp(max(ends), UTC) if ends else None


@contextmanager
def _paid_at_stripe(user: User) -> Iterator[list[Subscription]]:
    """Give the paid subscriptions in Stripe's state, and mirror the changes of the block.

    The mirror may lack one of several subscriptions, or an end. Raises NotSubscribed.
    """
    customer_id = user.stripe_customer_id
    if not customer_id:
        raise NotSubscribed
    sync.sync_customer(customer_id)
    subscriptions = paid_subscriptions(customer_id)
    if not subscriptions:
        raise NotSubscribed
    try:
        yield subscriptions
    finally:
        # Also after an error: some of the subscriptions may be changed.
        sync.sync_customer(customer_id)


def _modify(subscription: Subscription, **changes: Any) -> None:
    """Change the end of a subscription; first release the subscription from a schedule.

    Stripe refuses such a change while a schedule manages the subscription.
    """
    _release(subscription.stripe_data.get("schedule"))
    try:
        stripe.Subscription.modify(subscription.id, **changes)
    except stripe.InvalidRequestError:
        # The subscription may have ended, or come under a schedule, since the list was read.
        found = stripe.Subscription.retrieve(subscription.id)
        if found.status in ENDED:
            return
        if not found.schedule:
            raise
        _release(found.schedule)
        try:
            stripe.Subscription.modify(subscription.id, **changes)
        except stripe.InvalidRequestError as error:
            raise SubscriptionScheduled from error


def _release(schedule: Any) -> None:
    if not schedule:
        return
    try:
        stripe.SubscriptionSchedule.release(schedule if isinstance(schedule, str) else schedule.id)
    except stripe.PermissionError as error:
        logger.error("Stripe refuses the release of a schedule: %s", error)  # noqa: TRY400
        raise SubscriptionScheduled from error
    except stripe.InvalidRequestError as error:
        # Another request released the schedule, or the schedule is over.
        logger.warning("Stripe refuses the release of a schedule: %s", error)

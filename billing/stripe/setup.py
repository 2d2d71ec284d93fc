"""Objects at Stripe for the sale of Pro: made, or found again."""

from dataclasses import dataclass, field
from typing import Any

import stripe
from django.conf import settings

from billing.stripe.client import plain

# These keys find the objects again, not the names in Stripe's dashboard.
LOOKUP_KEY = "gemchat_pro_monthly"
OWNER = {"made_by": "gemchat"}
ENDPOINT: dict[str, Any] = {
    "enabled_events": [
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.refund.updated",
        "charge.refunded",
        "checkout.session.completed",
        "checkout.session.expired",
        "customer.created",
        "customer.deleted",
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.updated",
        "customer.updated",
    ]
}


@dataclass
class Setup:
    """The variables to set in `environment`, and the objects in `made` and `found`.

    On a dry run a missing object has no id, so `environment` lacks the id.
    """

    dry_run: bool
    environment: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


def set_up(*, webhook_url: str, amount: int, currency: str, dry_run: bool) -> Setup:
    """Make the missing objects. `amount` is a month's price in the currency's smallest unit.

    A price cannot change at Stripe: an existing price stays, and `amount` has no effect. Stripe
    shows the webhook's secret only when the endpoint is made. Raises stripe.StripeError.
    """
    setup = Setup(dry_run)
    _price(setup, amount=amount, currency=currency)
    _endpoint(setup, webhook_url)
    _portal(setup)
    return setup


def _price(setup: Setup, *, amount: int, currency: str) -> None:
    found = stripe.Price.list(lookup_keys=[LOOKUP_KEY], active=True, limit=1).data
    if not found and setup.dry_run:
        setup.made.append("product and price")
        return
    if found:
        price = found[0]
        setup.found.append(f"price {price.id}")
    else:
        price = stripe.Price.create(
            currency=currency,
            unit_amount=amount,
            recurring={"interval": "month"},
            lookup_key=LOOKUP_KEY,
            product_data={"name": "Pro", "metadata": OWNER},
            metadata=OWNER,
        )
        setup.made.append(f"price {price.id}")
    setup.environment["STRIPE_PRO_PRICE_ID"] = price.id


def _endpoint(setup: Setup, url: str) -> None:
    endpoints = stripe.WebhookEndpoint.list(limit=100).auto_paging_iter()
    found = next((each for each in endpoints if each.url == url), None)
    if found is not None:
        setup.found.append(f"webhook endpoint {found.id}")
        if not setup.dry_run:
            stripe.WebhookEndpoint.modify(found.id, **ENDPOINT)
        return
    if setup.dry_run:
        setup.made.append("webhook endpoint")
        return
    made = stripe.WebhookEndpoint.create(
        url=url, api_version=settings.STRIPE_API_VERSION, metadata=OWNER, **ENDPOINT
    )
    setup.made.append(f"webhook endpoint {made.id}")
    setup.environment["STRIPE_WEBHOOK_SECRET"] = made.secret or ""


def _portal(setup: Setup) -> None:
    configurations = stripe.billing_portal.Configuration.list(active=True, limit=100)
    for each in configurations.auto_paging_iter():
        if plain(each)["metadata"].get("made_by") == OWNER["made_by"]:
            setup.found.append(f"portal configuration {each.id}")
            setup.environment["STRIPE_PORTAL_CONFIGURATION"] = each.id
            return
    if setup.dry_run:
        setup.made.append("portal configuration")
        return
    made = stripe.billing_portal.Configuration.create(
        metadata=OWNER,
        features={
            "customer_update": {"enabled": True, "allowed_updates": ["email", "address"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
        },
    )
    setup.made.append(f"portal configuration {made.id}")
    setup.environment["STRIPE_PORTAL_CONFIGURATION"] = made.id

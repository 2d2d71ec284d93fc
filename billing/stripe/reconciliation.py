"""Compare the mirror and the tiers with Stripe, for lost webhooks."""

from dataclasses import asdict, dataclass, field
from typing import Any

import stripe
from djstripe.models import Subscription

from accounts.models import User
from billing.entitlement import ENDED, refresh_all_tiers, wrong_tiers
from billing.stripe import sync
from billing.stripe.client import is_configured, plain, stripe_calls

PAGE = 100
# For all pages together, not for a request with a waiting person.
TOTAL_SECONDS = 3600.0


@dataclass
class Differences:
    """The found faults, corrected unless in a dry run.

    `subscriptions`: id, the fault, and the status here and at Stripe. `tiers`: user id and the
    right tier.
    """

    listed: int = 0
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    tiers: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def reconcile(*, dry_run: bool = False) -> Differences:
    """Correct rows with a difference from Stripe, and every tier; without a key, tiers alone.

    Raises PaymentUnavailable when Stripe fails in between; the corrections so far stay.
    """
    differences = Differences(dry_run=dry_run)
    if is_configured():
        with stripe_calls(within_seconds=TOTAL_SECONDS):
            listed = _compare_listed(differences)
            _compare_unlisted(differences, listed)
    tiers = wrong_tiers(User.objects.all()) if dry_run else refresh_all_tiers()
    differences.tiers = {str(user_id): tier for user_id, tier in tiers.items()}
    return differences


def _compare_listed(differences: Differences) -> set[str]:
    listed: set[str] = set()
    pages = stripe.Subscription.list(status="all", limit=PAGE)
    page: list[stripe.Subscription] = []
    for subscription in pages.auto_paging_iter():
        page.append(subscription)
        if len(page) == PAGE:
            listed |= _compare_page(page, differences)
            page = []
    return listed | _compare_page(page, differences)


def _compare_page(page: list[stripe.Subscription], differences: Differences) -> set[str]:
    ids = {subscription.id for subscription in page}
    known = dict(Subscription.objects.filter(id__in=ids).values_list("id", "stripe_data"))
    for subscription in page:
        here, there = known.get(subscription.id), plain(subscription)
        if here is None and sync.is_erased(str(subscription.customer)):
            continue
        if here is None or _comparable(here) != _comparable(there):
            _repair(
                differences,
                subscription_id=subscription.id,
                customer_id=str(subscription.customer),
                what="missing" if here is None else "different",
                here=here["status"] if here else None,
                there=subscription.status,
            )
    differences.listed += len(page)
    return ids


def _compare_unlisted(differences: Differences, listed: set[str]) -> None:
    """Compare rows outside Stripe's list: deleted test data, or another key's."""
    rows = Subscription.objects.exclude(stripe_data__status__in=ENDED)
    for subscription_id, customer_id, status in rows.values_list(
        "id", "customer_id", "stripe_data__status"
    ):
        if subscription_id not in listed:
            _repair(
                differences,
                subscription_id=subscription_id,
                customer_id=customer_id,
                what="unknown to Stripe",
                here=status,
                there=None,
            )


def _comparable(stripe_data: dict[str, Any]) -> tuple[Any, ...]:
    """Return the fields behind tier and status."""
    items = [
        (item["id"], item["price"]["id"], item["current_period_end"])
        for item in stripe_data["items"]["data"]
    ]
    names = (
        "status",
        "customer",
        "cancel_at_period_end",
        "cancel_at",
        "canceled_at",
        "ended_at",
        "schedule",
        "pause_collection",
    )
    return (*(stripe_data.get(name) for name in names), sorted(items))


def _repair(
    differences: Differences, *, subscription_id: str, customer_id: str, **found: Any
) -> None:
    differences.subscriptions.append({"id": subscription_id, "customer": customer_id, **found})
    if not differences.dry_run:
        # Fetched once more under the lock: a webhook may have been quicker than the list.
        sync.sync_subscription(subscription_id=subscription_id, customer_id=customer_id)

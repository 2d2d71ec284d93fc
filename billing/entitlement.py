"""Derive the tiers of users from Stripe's mirror and from grants, only here."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone
from djstripe.models import Subscription

from accounts.models import User
from billing.models import Flag, Grant
from billing.plans import Plan, plan_for_tier

# Stripe still tries to collect while past_due, and the person keeps the paid plan.
ENTITLING = ("active", "trialing", "past_due")
# No status follows these statuses.
ENDED = ("canceled", "incomplete_expired")
BATCH = 1000
# The sweep of expired grants looks back this far, in case of a pause of the sweep. The nightly
# reconciliation finds the rest.
LOOK_BACK = timedelta(days=2)


def has_price_of(*plans: Plan) -> Q:
    """Match subscriptions with a price of these plans among the current items.

    dj-stripe keeps rows of removed items, so the price is read from Stripe's last data.
    """
    return Q(
        *[
            ("stripe_data__contains", {"items": {"data": [{"price": {"id": price}}]}})
            for plan in plans
            for price in plan.stripe_price_ids
        ],
        _connector=Q.OR,
    ) or Q(pk__in=[])


def paid_subscriptions(customer_id: str | None) -> "list[Subscription]":
    """Return entitling subscriptions, oldest first; a second is a fault."""
    paid = _entitling(*settings.PLANS.values())
    return list(paid.filter(customer_id=customer_id).order_by("created", "id"))


def _entitling(*plans: Plan) -> "QuerySet[Subscription]":
    return Subscription.objects.filter(has_price_of(*plans), stripe_data__status__in=ENTITLING)


def entitled(plan: Plan) -> Q:
    """Match users with a paid plan, or with a grant of the plan."""
    paid = Exists(_entitling(plan).filter(customer_id=OuterRef("stripe_customer_id")))
    granted = Exists(Grant.objects.current().filter(user=OuterRef("pk")))
    return Q(paid) | Q(granted) if plan.is_granted_by_staff else Q(paid)


def _right_tier() -> Case:
    """Return the highest tier with an entitlement, else the lowest."""
    lowest, *higher = settings.PLANS
    return Case(
        *[When(entitled(plan_for_tier(tier)), then=Value(tier)) for tier in reversed(higher)],
        default=Value(lowest),
    )


def refresh_tiers(user_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Derive these users' tiers; return the changed users with their new tiers.

    The users are locked before any read. Of two changes at the same time, the second change sees
    the result of the first.
    """
    with transaction.atomic():
        locked = list(
            User.objects.select_for_update(no_key=True)
            .filter(pk__in=list(user_ids))
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        wrong = wrong_tiers(User.objects.filter(pk__in=locked))
        for tier in set(wrong.values()):
            moving = [pk for pk, right in wrong.items() if right == tier]
            User.objects.filter(pk__in=moving).update(tier=tier)
    return wrong


def wrong_tiers(users: QuerySet[User]) -> dict[uuid.UUID, str]:
    """Map each user with a wrong stored tier to the right tier."""
    wrong = users.annotate(right=_right_tier()).exclude(tier=F("right"))
    return dict(wrong.values_list("pk", "right"))


def mark_disagreements() -> None:
    """Keep `tier_disagrees` of every user, at most a batch of each kind of disagreement.

    The query reads all users with a higher tier, a payment or a grant: too many for a page of
    staff.
    """
    wrong = [pk for users in _disagreements() for pk in users.values_list("pk", flat=True)[:BATCH]]
    User.objects.filter(tier_disagrees=True).exclude(pk__in=wrong).update(tier_disagrees=False)
    User.objects.filter(pk__in=wrong, tier_disagrees=False).update(tier_disagrees=True)


def _disagreements() -> Iterator[QuerySet[User]]:
    tiers = list(settings.PLANS)
    for position, tier in enumerate(tiers[1:], start=1):
        plan, below = plan_for_tier(tier), User.objects.filter(tier__in=tiers[:position])
        yield User.objects.filter(tier=tier).exclude(entitled(plan))
        yield below.filter(stripe_customer_id__in=_entitling(plan).values("customer_id"))
        if plan.is_granted_by_staff:
            yield below.filter(pk__in=Grant.objects.current().values("user"))


def disagreeing() -> list[uuid.UUID]:
    """Return the marked users with a tier still wrong."""
    return list(wrong_tiers(User.objects.filter(tier_disagrees=True)))


def refresh_all_tiers() -> dict[uuid.UUID, str]:
    """Correct every wrong tier, a batch per transaction; return the changed users."""
    wrong = list(wrong_tiers(User.objects.all()))
    changed: dict[uuid.UUID, str] = {}
    for start in range(0, len(wrong), BATCH):
        changed |= refresh_tiers(wrong[start : start + BATCH])
    return changed


def refresh_customer(customer_id: str) -> dict[uuid.UUID, str]:
    """Derive the tier of a customer's user, and flag a second subscription."""
    owners = User.objects.filter(stripe_customer_id=customer_id)
    for second in paid_subscriptions(customer_id)[1:]:
        Flag.objects.raise_once(
            kind=Flag.Kind.SECOND_SUBSCRIPTION,
            stripe_id=second.id,
            user=owners.first(),
            note=f"{customer_id} pays for Pro more than once.",
        )
    return refresh_tiers(owners.values_list("pk", flat=True))


def grant_pro(*, user: User, until: datetime, reason: str, by: User | None) -> Grant:
    """Make the user Pro until a moment; `by` is None on the command line."""
    with transaction.atomic():
        grant = Grant.objects.create(user=user, until=until, reason=reason, granted_by=by)
        refresh_tiers([user.pk])
    return grant


def end_grant(grant: Grant) -> bool:
    """End a grant now; False when the grant was over."""
    with transaction.atomic():
        ended = Grant.objects.current().filter(pk=grant.pk).update(until=timezone.now())
        refresh_tiers([grant.user_id])
    return bool(ended)


def end_expired_grants() -> dict[uuid.UUID, str]:
    """Derive the tiers of users with expired grants; return the changes."""
    now = timezone.now()
    expired = Grant.objects.filter(until__lte=now, until__gt=now - LOOK_BACK)
    lowest = next(iter(settings.PLANS))
    higher = expired.exclude(user__tier=lowest)
    return refresh_tiers(higher.values_list("user_id", flat=True).distinct())

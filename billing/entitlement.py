"""Who is Pro. The tier on the user is derived from Stripe's mirror and from grants, only here."""

import uuid
from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from djstripe.models import Subscription

from accounts.models import User
from billing.models import Flag, Grant

# Stripe still tries to collect while past_due, and the person keeps what they pay for.
ENTITLING = ("active", "trialing", "past_due")
# Nothing comes after these.
ENDED = ("canceled", "incomplete_expired")
BATCH = 1000


def pro_price() -> Q:
    """Subscriptions that have a price of Pro among their current items.

    dj-stripe keeps rows of removed items, so the price is read from what Stripe last sent.
    """
    return Q(
        *[
            ("stripe_data__contains", {"items": {"data": [{"price": {"id": price}}]}})
            for price in settings.STRIPE_PRO_PRICE_IDS
        ],
        _connector=Q.OR,
    ) or Q(pk__in=[])


def pro_subscriptions(customer_id: str | None) -> "list[Subscription]":
    """The customer's subscriptions that entitle to Pro, oldest first; more than one is a fault."""
    return list(
        Subscription.objects.filter(
            pro_price(), customer_id=customer_id, stripe_data__status__in=ENTITLING
        ).order_by("created", "id")
    )


def entitled() -> Q:
    """Users who are to be Pro."""
    subscriptions = Subscription.objects.filter(
        pro_price(),
        customer_id=OuterRef("stripe_customer_id"),
        stripe_data__status__in=ENTITLING,
    )
    return Q(Exists(subscriptions)) | Q(Exists(Grant.objects.current().filter(user=OuterRef("pk"))))


def refresh_tiers(user_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Derive these users' tiers anew; returns those that changed, with what they are now.

    The users are locked before anything is read: of two that change what a tier is derived from
    at the same time, the second to lock sees what the first has done.
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
    """Those of the users whose tier is not what it should be, with what it should be."""
    right = Case(When(entitled(), then=Value(User.Tier.PRO)), default=Value(User.Tier.BASIC))
    wrong = users.annotate(right=right).exclude(tier=F("right"))
    return dict(wrong.values_list("pk", "right"))


def mark_disagreements() -> None:
    """Keep `tier_disagrees` of every user, a batch of each kind of disagreement at the most.

    It looks at all who are Pro, or pay, or have a grant: too many for a page that staff open.
    """
    subscriptions = Subscription.objects.filter(pro_price(), stripe_data__status__in=ENTITLING)
    basic = User.objects.filter(tier=User.Tier.BASIC)
    found = [
        User.objects.filter(tier=User.Tier.PRO).exclude(entitled()),
        basic.filter(stripe_customer_id__in=subscriptions.values("customer_id")),
        basic.filter(pk__in=Grant.objects.current().values("user")),
    ]
    wrong = [pk for users in found for pk in users.values_list("pk", flat=True)[:BATCH]]
    User.objects.filter(tier_disagrees=True).exclude(pk__in=wrong).update(tier_disagrees=False)
    User.objects.filter(pk__in=wrong, tier_disagrees=False).update(tier_disagrees=True)


def disagreeing() -> list[uuid.UUID]:
    """Of those who were marked the users whose tier is not yet what it should be."""
    return list(wrong_tiers(User.objects.filter(tier_disagrees=True)))


def refresh_all_tiers() -> dict[uuid.UUID, str]:
    """Put every wrong tier right, a batch a transaction; returns those that changed."""
    wrong = list(wrong_tiers(User.objects.all()))
    changed: dict[uuid.UUID, str] = {}
    for start in range(0, len(wrong), BATCH):
        changed |= refresh_tiers(wrong[start : start + BATCH])
    return changed


def refresh_customer(customer_id: str) -> dict[uuid.UUID, str]:
    """Derive the tier of the user who has this customer, and show staff a second subscription."""
    owners = User.objects.filter(stripe_customer_id=customer_id)
    for second in pro_subscriptions(customer_id)[1:]:
        Flag.objects.raise_once(
            kind=Flag.Kind.SECOND_SUBSCRIPTION,
            stripe_id=second.id,
            user=owners.first(),
            note=f"{customer_id} pays for Pro more than once.",
        )
    return refresh_tiers(owners.values_list("pk", flat=True))

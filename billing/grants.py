"""Pro without Stripe, given by staff."""

import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing.entitlement import refresh_tiers
from billing.models import Grant

# The sweep looks back as far, should it not have run for a while; the nightly one sees the rest.
LOOK_BACK = timedelta(days=2)


def grant_pro(*, user: User, until: datetime, reason: str, by: User | None) -> Grant:
    """Make the user Pro up to a moment that is to come; `by` is None on the command line."""
    with transaction.atomic():
        grant = Grant.objects.create(user=user, until=until, reason=reason, granted_by=by)
        refresh_tiers([user.pk])
    return grant


def end_grant(grant: Grant) -> bool:
    """Take Pro back now; False when the grant was over."""
    with transaction.atomic():
        ended = Grant.objects.current().filter(pk=grant.pk).update(until=timezone.now())
        refresh_tiers([grant.user_id])
    return bool(ended)


def end_expired_grants() -> dict[uuid.UUID, str]:
    """Derive the tiers anew of those whose grants have lately run out; returns the changes."""
    now = timezone.now()
    expired = Grant.objects.filter(until__lte=now, until__gt=now - LOOK_BACK)
    pro = expired.filter(user__tier=User.Tier.PRO)
    return refresh_tiers(pro.values_list("user_id", flat=True).distinct())

"""What billing keeps about a user, as the files of an export."""

from djstripe.models import Event

from accounts.models import User
from accounts.personal_data import Section
from billing.models import DailyQuota, Flag, Grant, UsageRecord
from billing.stripe.sync import events_of, mirrored_rows

# What dj-stripe keeps of its own beside Stripe's answer.
MIRROR_ONLY = ("djstripe_id", "djstripe_owner_account_id", "djstripe_created", "djstripe_updated")


def billing_sections(user: User) -> list[Section]:
    return [
        Section("daily_quotas", DailyQuota.objects.filter(user=user)),
        Section("usage", UsageRecord.objects.filter(user=user), batch=5_000),
        # By whom is a member of staff.
        Section("grants", Grant.objects.filter(user=user), ["granted_by_id"]),
        Section("flags", Flag.objects.filter(user=user)),
        *_stripe_sections(user.stripe_customer_id),
    ]


def _stripe_sections(customer_id: str | None) -> list[Section]:
    if not customer_id:
        return []
    mirrored = [
        Section(f"stripe_{rows.model._meta.model_name}", rows, MIRROR_ONLY)
        for rows in mirrored_rows(customer_id)
    ]
    events = Event.objects.filter(events_of(customer_id))
    return [*mirrored, Section("stripe_event", events, MIRROR_ONLY)]

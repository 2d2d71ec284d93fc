"""Personal data of billing: exported, pruned and erased."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone
from djstripe.models import Event, WebhookEventTrigger

from accounts.models import User
from accounts.personal_data import ExportSection, prune_rows
from billing.models import DailyQuota, ErasedQuota, Flag, Grant, UsageRecord
from billing.stripe.sync import customer_events, mirrored_rows

# Columns of dj-stripe beyond Stripe's answer.
MIRROR_ONLY = ("djstripe_id", "djstripe_owner_account_id", "djstripe_created", "djstripe_updated")
# Stripe delivers a webhook again for 3 days, and displays Stripe's copy for 30.
WEBHOOK_LIFETIME = timedelta(days=30)
DETACHED_ROWS = 2_000


def export_sections(user: User) -> list[ExportSection]:
    return [
        ExportSection("daily_quotas", DailyQuota.objects.filter(user=user)),
        ExportSection("usage", UsageRecord.objects.filter(user=user), batch=5_000),
        # The giver is a member of staff.
        ExportSection("grants", Grant.objects.filter(user=user), ["granted_by_id"]),
        ExportSection("flags", Flag.objects.filter(user=user)),
        *_stripe_sections(user.stripe_customer_id),
    ]


def _stripe_sections(customer_id: str | None) -> list[ExportSection]:
    if not customer_id:
        return []
    mirrored = [
        ExportSection(f"stripe_{rows.model._meta.model_name}", rows, MIRROR_ONLY)
        for rows in mirrored_rows(customer_id)
    ]
    events = Event.objects.filter(customer_events(customer_id))
    return [*mirrored, ExportSection("stripe_event", events, MIRROR_ONLY)]


def prune(*, dry_run: bool = False) -> dict[str, int]:
    """Delete and count expired rows; a dry run counts only."""
    before = timezone.now() - WEBHOOK_LIFETIME
    return prune_rows(
        {
            "webhook_deliveries": WebhookEventTrigger.objects.filter(created__lt=before),
            "webhook_events": Event.objects.filter(djstripe_created__lt=before),
            "erased_quotas": ErasedQuota.objects.prunable(),
        },
        dry_run=dry_run,
    )


def erase(user: User) -> Iterator[None]:
    """Detach the person from the ledger's rows, and yield after each batch. The rows stay."""
    while UsageRecord.objects.detach(user_id=user.pk, limit=DETACHED_ROWS):
        yield

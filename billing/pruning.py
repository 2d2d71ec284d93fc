"""Webhooks are kept as long as somebody may ask about them, quotas of erased accounts for a day."""

from datetime import timedelta

from django.utils import timezone
from djstripe.models import Event, WebhookEventTrigger

from billing.models import ErasedQuota

# Stripe delivers again for 3 days, and shows its own copy for 30.
KEEP = timedelta(days=30)


def prune_billing(*, dry_run: bool = False) -> dict[str, int]:
    """Delete old deliveries, events and erased quotas; how many (with `dry_run`, would be)."""
    before = timezone.now() - KEEP
    old = {
        "webhook_deliveries": WebhookEventTrigger.objects.filter(created__lt=before),
        "webhook_events": Event.objects.filter(djstripe_created__lt=before),
        "erased_quotas": ErasedQuota.objects.prunable(),
    }
    if dry_run:
        return {name: rows.count() for name, rows in old.items()}
    return {name: rows.delete()[0] for name, rows in old.items()}

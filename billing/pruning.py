"""Webhooks are kept as long as somebody may ask about them, and no longer."""

from datetime import timedelta

from django.utils import timezone
from djstripe.models import Event, WebhookEventTrigger

# Stripe delivers again for 3 days, and shows its own copy for 30.
KEEP = timedelta(days=30)


def prune_webhooks(*, dry_run: bool = False) -> dict[str, int]:
    """Delete old deliveries and events; how many of each (with `dry_run`, would be)."""
    before = timezone.now() - KEEP
    old = {
        "webhook_deliveries": WebhookEventTrigger.objects.filter(created__lt=before),
        "webhook_events": Event.objects.filter(djstripe_created__lt=before),
    }
    if dry_run:
        return {name: rows.count() for name, rows in old.items()}
    return {name: rows.delete()[0] for name, rows in old.items()}

"""Webhooks are kept as long as somebody may ask about them, and no longer."""

from datetime import timedelta

from django.utils import timezone
from djstripe.models import Event, WebhookEventTrigger

# Stripe delivers again for 3 days, and shows its own copy for 30.
KEEP = timedelta(days=30)


def prune_webhooks() -> dict[str, int]:
    """Delete old deliveries and events; returns how many of each."""
    before = timezone.now() - KEEP
    triggers, _ = WebhookEventTrigger.objects.filter(created__lt=before).delete()
    events, _ = Event.objects.filter(djstripe_created__lt=before).delete()
    return {"deliveries": triggers, "events": events}

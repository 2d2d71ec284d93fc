from datetime import timedelta

from django.utils import timezone
from djstripe.models import Event, Subscription, WebhookEventTrigger

from billing.personal_data import WEBHOOK_LIFETIME, prune
from tests.support.payments import deliver_all, pro, tier_of


def test_old_webhooks_are_pruned_and_the_rest_stays(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    old = timezone.now() - WEBHOOK_LIFETIME - timedelta(minutes=1)
    Event.objects.update(djstripe_created=old)
    WebhookEventTrigger.objects.update(created=old)
    stripe.events.clear()
    stripe.change(subscription["id"])
    deliver_all(stripe)

    prune()

    assert [event.id for event in Event.objects.all()] == [stripe.events[0]["id"]]
    assert WebhookEventTrigger.objects.count() == 1
    assert Subscription.objects.exists()
    assert tier_of(alice) == "pro"

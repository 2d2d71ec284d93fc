"""The erasure of a user ends the charges and deletes Stripe's copy."""

import pytest
from djstripe.models import Customer, Event, Subscription, WebhookEventTrigger

from billing.stripe.checkout import cancel_for_erasure
from billing.stripe.client import BillingNotConfigured, PaymentUnavailable
from billing.stripe.reconciliation import reconcile
from tests.support.payments import deliver_all, pro, tier_of


def test_erasure_cancels_at_stripe_and_forgets(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    alice.refresh_from_db()

    cancel_for_erasure(alice)

    assert stripe.objects["subscriptions"][subscription["id"]]["status"] == "canceled"
    assert not Customer.objects.exists()
    assert not Subscription.objects.exists()
    assert not Event.objects.filter(type__startswith="customer").exists()
    assert not WebhookEventTrigger.objects.filter(body__contains=alice.stripe_customer_id).exists()
    assert tier_of(alice) == "basic"


def test_erasure_closes_an_open_checkout(alice, alice_api, stripe):
    session_id = alice_api.post("/api/v1/subscription/subscribe/pro").json()["session_id"]
    alice.refresh_from_db()

    cancel_for_erasure(alice)

    assert stripe.objects["checkout/sessions"][session_id]["status"] == "expired"


def test_events_that_come_after_the_user_is_gone_are_taken(alice, alice_api, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    cancel_for_erasure(alice)
    alice.delete()

    deliver_all(stripe)

    assert not Customer.objects.exists()


def test_reconciling_does_not_bring_an_erased_customer_back(alice, alice_api, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    cancel_for_erasure(alice)

    differences = reconcile()

    assert (differences.listed, differences.subscriptions) == (1, [])
    assert not Subscription.objects.exists()


def test_erasure_while_stripe_is_down_is_refused_and_can_be_repeated(alice, alice_api, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    stripe.fail("DELETE", "/v1/customers", status=500, times=2)

    with pytest.raises(PaymentUnavailable):
        cancel_for_erasure(alice)
    assert tier_of(alice) == "pro"

    cancel_for_erasure(alice)
    cancel_for_erasure(alice)
    assert tier_of(alice) == "basic"


def test_erasure_of_who_never_paid_asks_nobody(alice, stripe):
    cancel_for_erasure(alice)

    assert stripe.requests == []


def test_erasure_of_a_customer_without_a_key_is_refused(alice):
    alice.stripe_customer_id = "cus_1"

    with pytest.raises(BillingNotConfigured):
        cancel_for_erasure(alice)

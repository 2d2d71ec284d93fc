"""The state is Stripe's after any order, repetition and failure of events."""

from functools import partial

import pytest
from django.db import connection
from djstripe.models import Customer, Event, Subscription, WebhookEventTrigger
from djstripe.signals import WEBHOOK_SIGNALS

from accounts.models import User
from billing.models import Flag
from billing.tests.plans import with_plan
from tests.support.fakes.stripe_objects import now
from tests.support.payments import PRICE, deliver, deliver_all, pro, status_of, subscribe, tier_of
from tests.support.plugins.cast import api_for
from tests.support.waiting import at_once, in_background, wait_until_blocked


def of_subscription(stripe):
    return [e for e in stripe.events if e["type"].startswith("customer.subscription")]


def test_duplicate_event_changes_nothing(alice, alice_api, stripe):
    pro(alice_api, stripe)

    assert deliver(stripe.events[-1]) == [200]

    assert tier_of(alice) == "pro"
    assert Event.objects.count() == len(stripe.events)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_created_updated_deleted_in_any_order_end_on_basic(alice, alice_api, stripe, order):
    subscription = subscribe(alice_api, stripe, status="incomplete")
    stripe.change(subscription["id"], status="active")
    stripe.change(subscription["id"], status="canceled")
    events = of_subscription(stripe)

    assert deliver(*[events[place] for place in order]) == [200, 200, 200]

    assert tier_of(alice) == "basic"
    assert Subscription.objects.get().stripe_data["status"] == "canceled"


def test_event_tells_of_the_state_of_now_not_of_then(alice, alice_api, stripe):
    subscription = subscribe(alice_api, stripe, status="incomplete")
    stripe.change(subscription["id"], status="active")
    created = of_subscription(stripe)[0]

    deliver(created)

    assert created["data"]["object"]["status"] == "incomplete"
    assert tier_of(alice) == "pro"


@pytest.mark.parametrize(
    ("status", "tier"),
    [
        ("trialing", "pro"),
        ("active", "pro"),
        ("past_due", "pro"),
        ("incomplete", "basic"),
        ("incomplete_expired", "basic"),
        ("unpaid", "basic"),
        ("paused", "basic"),
        ("canceled", "basic"),
    ],
)
def test_tier_follows_the_status(alice, alice_api, stripe, status, tier):
    subscription = subscribe(alice_api, stripe, status="incomplete")

    stripe.change(subscription["id"], status=status)
    deliver_all(stripe)

    assert tier_of(alice) == tier


@pytest.mark.parametrize("status", ["past_due", "unpaid"])
def test_late_payment_makes_active_again(alice, alice_api, stripe, status):
    subscription = pro(alice_api, stripe)
    stripe.change(subscription["id"], status=status)
    deliver_all(stripe)
    assert tier_of(alice) == ("pro" if status == "past_due" else "basic")

    stripe.change(subscription["id"], status="active")
    deliver_all(stripe)

    assert tier_of(alice) == "pro"


def test_subscription_to_something_else_is_not_pro(alice, alice_api, stripe):
    stripe.add_price("price_mug")
    pro(alice_api, stripe)
    alice.refresh_from_db()
    stripe.change(of_subscription(stripe)[0]["data"]["object"]["id"], status="canceled")

    stripe.subscribe(alice.stripe_customer_id, "price_mug")
    deliver_all(stripe)

    assert tier_of(alice) == "basic"


def test_change_of_plan_away_from_pro_ends_it(alice, alice_api, stripe):
    stripe.add_price("price_mug")
    subscription = pro(alice_api, stripe)

    stripe.change_price(subscription["id"], "price_mug")
    deliver_all(stripe)

    assert tier_of(alice) == "basic"


def test_change_to_another_price_of_pro_keeps_it(alice, alice_api, stripe, settings):
    stripe.add_price("price_pro_new")
    subscription = pro(alice_api, stripe)
    with_plan(settings, "pro", stripe_price_ids=["price_pro_new", PRICE])

    stripe.change_price(subscription["id"], "price_pro_new")
    deliver_all(stripe)

    assert tier_of(alice) == "pro"


def test_unknown_customer_is_mirrored_and_nobody_is_pro(alice, stripe):
    stranger = stripe._add("customers")
    stripe.subscribe(stranger["id"], PRICE)

    deliver_all(stripe)

    assert Customer.objects.filter(id=stranger["id"]).exists()
    assert not User.objects.filter(tier="pro").exists()


def test_event_about_what_stripe_has_forgotten_is_taken(alice_api, stripe):
    subscription = subscribe(alice_api, stripe)
    del stripe.objects["subscriptions"][subscription["id"]]

    assert deliver(of_subscription(stripe)[0]) == [200]


@pytest.mark.parametrize("customer_first", [True, False])
def test_deleted_customer_ends_on_basic_in_either_order(alice, alice_api, stripe, customer_first):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    before = len(stripe.events)
    stripe.delete_customer(alice.stripe_customer_id)
    events = sorted(
        stripe.events[before:],
        key=lambda e: e["type"] == "customer.deleted",
        reverse=customer_first,
    )

    assert set(deliver(*events)) == {200}

    alice.refresh_from_db()
    assert (alice.tier, alice.stripe_customer_id) == ("basic", None)


def test_tier_leaves_who_lost_the_customer(alice, alice_api, bob, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    customer_id = alice.stripe_customer_id
    User.objects.filter(pk=alice.pk).update(stripe_customer_id=None)
    User.objects.filter(pk=bob.pk).update(stripe_customer_id=customer_id)

    stripe.change(of_subscription(stripe)[0]["data"]["object"]["id"])
    deliver_all(stripe)

    assert tier_of(bob) == "pro"


def test_metadata_at_stripe_moves_nothing(alice, alice_api, bob, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    customer = stripe.objects["customers"][alice.stripe_customer_id]
    customer["metadata"] = {"user_id": str(bob.pk), "djstripe_subscriber": str(bob.pk)}

    stripe._note("customer.updated", customer)
    deliver_all(stripe)

    assert (tier_of(alice), tier_of(bob)) == ("pro", "basic")


def test_second_subscription_is_shown_to_staff_once(alice, alice_api, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()

    second = stripe.subscribe(alice.stripe_customer_id, PRICE, created=now() + 60)
    deliver_all(stripe)
    stripe.change(second["id"])
    deliver_all(stripe)

    flag = Flag.objects.get()
    assert (flag.kind, flag.stripe_id, flag.user) == ("second_subscription", second["id"], alice)


def test_refund_is_shown_to_staff_and_changes_no_tier(alice, alice_api, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    charge = stripe.charge(alice.stripe_customer_id)

    stripe.refund(charge["id"])
    deliver_all(stripe)

    flag = Flag.objects.get()
    assert (flag.kind, flag.stripe_id, flag.user) == ("refund", charge["id"], alice)
    assert tier_of(alice) == "pro"


def test_dispute_is_shown_to_staff_and_changes_no_tier(alice, alice_api, stripe):
    pro(alice_api, stripe)
    alice.refresh_from_db()
    charge = stripe.charge(alice.stripe_customer_id)

    dispute = stripe.dispute(charge["id"])
    deliver_all(stripe)

    flag = Flag.objects.get()
    assert (flag.kind, flag.stripe_id, flag.user) == ("dispute", dispute["id"], alice)
    assert tier_of(alice) == "pro"


# The SDK tries twice, but for the last.
@pytest.mark.parametrize(
    "fault", [{"status": 500, "times": 2}, {"drop": True, "times": 2}, {"status": 429}]
)
def test_stripe_down_in_a_webhook_heals_by_redelivery(alice, alice_api, stripe, fault):
    subscription = subscribe(alice_api, stripe)
    event = of_subscription(stripe)[0]
    stripe.fail("GET", f"/v1/subscriptions/{subscription['id']}", **fault)

    assert deliver(event) == [503]
    assert tier_of(alice) == "basic"
    assert not Event.objects.filter(id=event["id"]).exists()

    assert deliver(event) == [200]
    assert tier_of(alice) == "pro"


def test_receiver_that_raises_is_rolled_back_and_heals_by_redelivery(alice, alice_api, stripe):
    subscribe(alice_api, stripe)
    event = of_subscription(stripe)[0]

    def broken(**kwargs):
        raise RuntimeError("broken receiver")

    WEBHOOK_SIGNALS[event["type"]].connect(broken)
    try:
        assert deliver(event) == [500]
    finally:
        WEBHOOK_SIGNALS[event["type"]].disconnect(broken)

    assert tier_of(alice) == "basic"
    trigger = WebhookEventTrigger.objects.get()
    assert (trigger.processed, trigger.exception) == (False, "broken receiver")
    assert "RuntimeError" in trigger.traceback
    assert not Event.objects.exists()

    assert deliver(event) == [200]
    assert tier_of(alice) == "pro"


def test_key_that_was_replaced_is_not_used_again(alice, alice_api, stripe, settings):
    subscription = pro(alice_api, stripe)
    stripe.secret_key = "sk_test_AnotherAnotherAnotherAnother"
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = stripe.secret_key

    stripe.change(subscription["id"], status="canceled")

    assert deliver(stripe.events[-1]) == [200]
    assert tier_of(alice) == "basic"


@pytest.mark.django_db(transaction=True)
def test_events_at_the_same_time_leave_the_newest_state(alice, stripe):
    subscription = pro(api_for(alice), stripe)
    stripe.change(subscription["id"], status="unpaid")
    unpaid = stripe.events[-1]

    with stripe.hold("GET", f"/v1/subscriptions/{subscription['id']}") as slow:
        first = in_background(partial(deliver, unpaid))
        assert slow.arrived.wait(20)
        stripe.change(subscription["id"], status="active")
        second = in_background(partial(deliver, stripe.events[-1]))
        wait_until_blocked()
        slow.release.set()
        assert (first.result(), second.result()) == ([200], [200])

    assert Subscription.objects.get().stripe_data["status"] == "active"
    assert tier_of(alice) == "pro"


@pytest.mark.django_db(transaction=True)
def test_same_event_many_times_at_once_is_stored_once(alice, stripe):
    subscribe(api_for(alice), stripe)
    event = of_subscription(stripe)[0]

    answers = at_once(6, lambda: deliver(event))

    assert answers == [[200]] * 6
    assert Event.objects.filter(id=event["id"]).count() == 1
    assert tier_of(alice) == "pro"


@pytest.mark.django_db(transaction=True)
def test_database_down_in_a_webhook_heals_by_redelivery(alice, stripe):
    subscribe(api_for(alice), stripe)
    event = of_subscription(stripe)[0]
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;"
            "CREATE TRIGGER die BEFORE INSERT ON djstripe_event EXECUTE FUNCTION die()"
        )
    try:
        assert deliver(event) == [503]
    finally:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER die ON djstripe_event; DROP FUNCTION die()")
    assert tier_of(alice) == "basic"

    assert deliver(event) == [200]
    assert tier_of(alice) == "pro"
    assert status_of(api_for(alice))["subscription"]["status"] == "active"

"""Reconciliation finds, corrects and reports the changes of lost webhooks."""

import json
import random
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from djstripe.models import Subscription

from accounts.models import User
from billing.stripe.reconciliation import reconcile
from billing.tasks import reconcile_subscriptions
from tests.support.fakes.stripe_objects import now
from tests.support.payments import PRICE, deliver, pro, subscribe, tier_of


def run(*arguments):
    out = StringIO()
    call_command("reconcile_subscriptions", "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


def test_lost_creation_is_healed(alice, alice_api, stripe):
    subscription = subscribe(alice_api, stripe)

    report = run()

    assert tier_of(alice) == "pro"
    assert report["asked_stripe"] is True
    [found] = report["subscriptions"]
    assert (found["id"], found["what"]) == (subscription["id"], "missing")
    assert (found["here"], found["there"]) == (None, "active")


def test_lost_end_is_healed(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    stripe.change(subscription["id"], status="canceled")

    reconcile_subscriptions()

    assert tier_of(alice) == "basic"
    assert Subscription.objects.get().stripe_data["status"] == "canceled"


def test_lost_change_of_the_period_is_healed(alice_api, stripe):
    subscription = pro(alice_api, stripe)
    subscription["items"]["data"][0]["current_period_end"] += 3600

    assert len(reconcile().subscriptions) == 1
    assert reconcile().subscriptions == []


def test_dry_run_changes_nothing_and_tells_the_same(alice, alice_api, stripe):
    subscribe(alice_api, stripe)
    User.objects.filter(pk=alice.pk).update(tier="pro")

    report = run("--dry-run")

    assert [found["what"] for found in report["subscriptions"]] == ["missing"]
    assert report["tiers"] == {str(alice.pk): "basic"}
    assert tier_of(alice) == "pro"
    assert not Subscription.objects.exists()


def test_nothing_differs_after_all_events(alice_api, stripe):
    pro(alice_api, stripe)

    report = run()

    assert (report["listed"], report["subscriptions"], report["tiers"]) == (1, [], {})


def test_subscription_that_stripe_has_forgotten_is_removed(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    del stripe.objects["subscriptions"][subscription["id"]]

    report = run()

    assert [found["what"] for found in report["subscriptions"]] == ["unknown to Stripe"]
    assert tier_of(alice) == "basic"
    assert not Subscription.objects.exists()


def test_every_page_is_read(alice_api, stripe):
    subscribe(alice_api, stripe)
    customer_id = next(iter(stripe.objects["customers"]))
    for age in range(1, 205):
        ended = {"status": "canceled", "created": now() - age, "ended_at": now()}
        stripe.subscribe(customer_id, PRICE, **ended)

    report = run("--dry-run")

    assert report["listed"] == 205
    assert len(report["subscriptions"]) == 205


def test_tier_set_by_hand_is_put_right(alice, carol, stripe):
    User.objects.filter(pk=alice.pk).update(tier="pro")

    report = run()

    assert report["tiers"] == {str(alice.pk): "basic", str(carol.pk): "basic"}
    assert (tier_of(alice), tier_of(carol)) == ("basic", "basic")


def test_tiers_are_put_right_by_few_statements(db, stripe, django_assert_num_queries):
    User.objects.bulk_create(
        [User(mobile=f"+9198{number:08d}", tier="pro") for number in range(50)]
    )

    # The rows outside the listing; the wrong tiers. For each thousand of them: savepoint, lock,
    # wrong rows, the change to basic, savepoint.
    with django_assert_num_queries(7):
        assert len(reconcile().tiers) == 50


def test_without_a_key_the_tiers_alone_are_put_right(carol, settings):
    report = run()

    assert report["asked_stripe"] is False
    assert report["tiers"] == {str(carol.pk): "basic"}


def test_stripe_down_fails_the_command_and_keeps_the_tiers(carol, stripe):
    stripe.fail("GET", "/v1/subscriptions", status=500, times=9)

    with pytest.raises(CommandError, match="payment service"):
        run()

    assert tier_of(carol) == "pro"


STATUSES = ["active", "past_due", "unpaid", "paused"]


def live(stripe, subscription_id, luck):
    """A part of a subscription's life, with all events that Stripe would send of it."""
    steps = luck.choices(STATUSES, k=luck.randint(0, 3))
    for status in [*steps, *(["canceled"] if luck.random() < 0.3 else [])]:
        stripe.change(subscription_id, status=status, cancel_at_period_end=luck.random() < 0.3)


def mixed_up(events, luck):
    """Some lost, some twice, and in any order."""
    sent = [event for event in events if luck.random() < 0.6]
    sent += [event for event in sent if luck.random() < 0.3]
    luck.shuffle(sent)
    return sent


# 24 orders in two parts, which run side by side.
@pytest.mark.parametrize("part", range(2))
def test_any_order_of_duplicated_delayed_and_lost_events_ends_in_stripes_state(
    alice, alice_api, stripe, part
):
    for number in range(part * 12, part * 12 + 12):
        luck = random.Random(number)
        stripe.objects["subscriptions"].clear()
        Subscription.objects.all().delete()
        User.objects.filter(pk=alice.pk).update(tier="basic")
        before = len(stripe.events)
        alice.refresh_from_db()
        customer_id = alice.stripe_customer_id or _customer(alice_api, alice)
        subscription = stripe.subscribe(customer_id, PRICE, status="incomplete")
        early = mixed_up(stripe.events[before:], luck)
        live(stripe, subscription["id"], luck)

        assert set(deliver(*early, *mixed_up(stripe.events[before:], luck))) <= {200}
        reconcile()

        here, there = Subscription.objects.get().stripe_data, _at(stripe, subscription["id"])
        told = ("status", "cancel_at_period_end", "cancel_at", "ended_at")
        assert {n: here[n] for n in told} == {n: there[n] for n in told}, f"seed {number}"
        is_pro = there["status"] in ("active", "trialing", "past_due")
        assert tier_of(alice) == ("pro" if is_pro else "basic"), f"seed {number}"


def _customer(api, user):
    assert api.post("/api/v1/subscription/subscribe/pro").status_code == 200
    user.refresh_from_db()
    return user.stripe_customer_id


def _at(stripe, subscription_id):
    return stripe.objects["subscriptions"][subscription_id]

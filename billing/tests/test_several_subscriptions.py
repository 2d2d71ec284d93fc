"""Several subscriptions of one person, schedules, and cancelling beside other changes."""

from functools import partial

import pytest
from djstripe.models import Subscription

from accounts.models import User
from tests.support.marks import transactional
from tests.support.payments import PRICE, deliver, deliver_all, pro, status_of, subscribe, tier_of
from tests.support.plugins.cast import api_for
from tests.support.waiting import at_once, in_background, wait_until_blocked

CANCEL = "/api/v1/subscription/cancel"
RESUME = "/api/v1/subscription/resume"
SUBSCRIBE = "/api/v1/subscription/subscribe/pro"


def ending(stripe):
    """Whether each subscription ends, in the order of their creation."""
    return [each["cancel_at_period_end"] for each in stripe.objects["subscriptions"].values()]


def second_of(user, stripe):
    user.refresh_from_db()
    return stripe.subscribe(user.stripe_customer_id, PRICE)


def test_cancel_and_resume_act_on_every_subscription(alice, alice_api, stripe):
    pro(alice_api, stripe)
    second_of(alice, stripe)
    deliver_all(stripe)

    cancelled = alice_api.post(CANCEL).json()["subscription"]
    assert ending(stripe) == [True, True]
    assert (cancelled["cancel_at_period_end"], cancelled["count"]) == (True, 2)

    resumed = alice_api.post(RESUME).json()["subscription"]
    assert ending(stripe) == [False, False]
    assert resumed["cancel_at_period_end"] is False


def test_cancel_finds_the_subscription_whose_webhook_was_lost(alice, alice_api, stripe):
    pro(alice_api, stripe)
    second_of(alice, stripe)

    answer = alice_api.post(CANCEL)

    assert answer.json()["subscription"]["count"] == 2
    assert ending(stripe) == [True, True]


def test_cancel_leaves_a_subscription_to_something_else(alice, alice_api, stripe):
    stripe.add_price("price_mug")
    pro(alice_api, stripe)
    alice.refresh_from_db()
    stripe.subscribe(alice.stripe_customer_id, "price_mug")

    alice_api.post(CANCEL)

    assert ending(stripe) == [True, False]


def test_status_ends_only_when_all_subscriptions_end(alice, alice_api, stripe):
    first = pro(alice_api, stripe)
    second_of(alice, stripe)
    stripe.change(first["id"], cancel_at_period_end=True)
    deliver_all(stripe)

    shown = status_of(alice_api)["subscription"]

    assert (shown["count"], shown["cancel_at_period_end"]) == (2, False)


def test_cancel_that_fails_half_way_shows_what_is_done(alice, alice_api, stripe):
    pro(alice_api, stripe)
    second = second_of(alice, stripe)
    deliver_all(stripe)
    stripe.fail("POST", f"/v1/subscriptions/{second['id']}", status=500, times=2)

    answer = alice_api.post(CANCEL)

    assert answer.status_code == 503
    mirrored = Subscription.objects.order_by("created", "id")
    assert [row.stripe_data["cancel_at_period_end"] for row in mirrored] == [True, False]
    assert alice_api.post(CANCEL).json()["subscription"]["cancel_at_period_end"] is True


@pytest.mark.parametrize("is_known", [True, False])
def test_cancel_releases_the_schedule_of_a_subscription(alice_api, stripe, is_known):
    subscription = pro(alice_api, stripe)
    schedule = stripe.schedule(subscription["id"])
    if is_known:
        deliver_all(stripe)

    answer = alice_api.post(CANCEL)

    assert answer.status_code == 200
    assert answer.json()["subscription"]["cancel_at_period_end"] is True
    assert schedule["status"] == "released"
    assert ending(stripe) == [True]


def test_resume_releases_the_schedule_that_ends_a_subscription(alice_api, stripe):
    subscription = pro(alice_api, stripe)
    schedule = stripe.schedule(subscription["id"])
    stripe.change(subscription["id"], cancel_at=subscription["start_date"] + 3600)

    answer = alice_api.post(RESUME)

    assert answer.status_code == 200
    assert answer.json()["subscription"]["cancel_at_period_end"] is False
    assert schedule["status"] == "released"
    assert stripe.objects["subscriptions"][subscription["id"]]["cancel_at"] is None


def test_schedule_that_can_not_be_released_sends_to_the_portal(alice_api, stripe):
    stripe.schedule(pro(alice_api, stripe)["id"])
    stripe.fail("POST", "/v1/subscription_schedules", status=400, times=9)

    answer = alice_api.post(CANCEL)

    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_scheduled")
    assert "portal" in answer.json()["detail"]


@pytest.mark.parametrize("status", ["unpaid", "incomplete", "paused"])
def test_subscribing_first_ends_an_unfinished_subscription(alice, alice_api, stripe, status):
    former = pro(alice_api, stripe)
    stripe.change(former["id"], status=status)
    deliver_all(stripe)

    subscribe(alice_api, stripe)
    deliver_all(stripe)

    assert stripe.objects["subscriptions"][former["id"]]["status"] == "canceled"
    assert status_of(alice_api)["subscription"]["count"] == 1
    assert tier_of(alice) == "pro"


def test_subscribing_leaves_an_unfinished_subscription_to_something_else(alice, alice_api, stripe):
    former = pro(alice_api, stripe)
    alice.refresh_from_db()
    stripe.add_price("price_mug")
    other = stripe.subscribe(alice.stripe_customer_id, "price_mug")
    for subscription in (former, other):
        stripe.change(subscription["id"], status="unpaid")
    deliver_all(stripe)

    alice_api.post(SUBSCRIBE)

    kept = [stripe.objects["subscriptions"][each["id"]]["status"] for each in (former, other)]
    assert kept == ["canceled", "unpaid"]


@transactional
def test_subscribing_at_once_ends_an_unpaid_subscription_once(alice: User, stripe):
    former = pro(api_for(alice), stripe)
    stripe.change(former["id"], status="unpaid")
    deliver_all(stripe)

    answers = at_once(3, lambda: api_for(alice).post(SUBSCRIBE))

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    assert stripe.objects["subscriptions"][former["id"]]["status"] == "canceled"


@transactional
def test_two_cancels_at_once_release_and_end(alice: User, stripe):
    subscription = pro(api_for(alice), stripe)
    stripe.schedule(subscription["id"])

    answers = at_once(3, lambda: api_for(alice).post(CANCEL))

    assert [answer.status_code for answer in answers] == [200] * 3
    assert ending(stripe) == [True]
    assert Subscription.objects.get().stripe_data["cancel_at_period_end"] is True


@transactional
def test_schedule_that_comes_during_a_cancel_is_released(alice: User, stripe):
    subscription = pro(api_for(alice), stripe)

    with stripe.hold("GET", "/v1/subscriptions") as slow:
        cancelling = in_background(lambda: api_for(alice).post(CANCEL))
        assert slow.arrived.wait(20)
        schedule = stripe.schedule(subscription["id"])
        slow.release.set()
        answer = cancelling.result(20)

    assert answer.json()["subscription"]["cancel_at_period_end"] is True
    assert schedule["status"] == "released"


@transactional
def test_cancel_beside_the_webhook_of_an_end_leaves_the_end(alice: User, stripe):
    subscription = pro(api_for(alice), stripe)

    with stripe.hold("GET", "/v1/subscriptions") as slow:
        cancelling = in_background(lambda: api_for(alice).post(CANCEL))
        assert slow.arrived.wait(20)
        stripe.change(subscription["id"], status="canceled")
        delivering = in_background(partial(deliver, stripe.events[-1]))
        wait_until_blocked()
        slow.release.set()
        answer = cancelling.result(20)
        assert delivering.result(20) == [200]

    assert (answer.status_code, answer.json()["subscription"]) == (200, None)
    assert tier_of(alice) == "basic"

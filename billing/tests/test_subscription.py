"""The user's plan, cancelling it and thinking better of it, and the pages after paying."""

from datetime import UTC, datetime

import pytest
from djstripe.models import Session

from accounts.models import AuditEvent
from billing.models import DailyQuota
from tests.support.payments import deliver_all, pro, status_of, subscribe, tier_of

CANCEL = "/api/v1/subscription/cancel"
RESUME = "/api/v1/subscription/resume"
SUCCESS = "/billing/success"


def test_status_without_stripe(alice, alice_api, settings):
    DailyQuota.objects.reserve(user=alice)

    status = status_of(alice_api)

    assert status.pop("resets_at").endswith("T00:00:00Z")
    assert status == {
        "tier": "basic",
        "daily_limit": settings.PLANS["basic"].daily_limit,
        "daily_usage": 1,
        "remaining_usage": settings.PLANS["basic"].daily_limit - 1,
        "files": {
            "max_bytes": settings.PLANS["basic"].file_max_bytes,
            "max_per_message": settings.PLANS["basic"].files_per_message,
            "max_tokens_per_message": settings.PLANS["basic"].file_tokens,
        },
        "subscription": None,
    }


@pytest.mark.parametrize("path", ["status", "status/", "subscription/status"])
def test_status_answers_under_all_its_paths(alice_api, path):
    assert alice_api.get(f"/api/v1/subscription/{path}").status_code == 200


def test_status_needs_a_token(client, db):
    assert client.get("/api/v1/subscription/status").status_code == 401


def test_status_tells_of_the_subscription(alice_api, stripe, settings):
    subscription = pro(alice_api, stripe)
    ends = subscription["items"]["data"][0]["current_period_end"]

    status = status_of(alice_api)

    assert status["daily_limit"] == settings.PLANS["pro"].daily_limit
    assert status["subscription"] == {
        "status": "active",
        "count": 1,
        "current_period_end": f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "cancel_at_period_end": False,
        "collection_paused": False,
        "collection_resumes_at": None,
    }


def test_status_tells_of_an_unpaid_subscription(alice_api, stripe):
    subscription = pro(alice_api, stripe)
    stripe.change(subscription["id"], status="unpaid")
    deliver_all(stripe)

    status = status_of(alice_api)

    assert (status["tier"], status["subscription"]["status"]) == ("basic", "unpaid")


def test_status_tells_of_paused_collection(alice_api, stripe):
    subscription = pro(alice_api, stripe)
    pause = {"behavior": "void", "resumes_at": 1_800_000_000}
    stripe.change(subscription["id"], pause_collection=pause)
    deliver_all(stripe)

    shown = status_of(alice_api)["subscription"]

    assert (shown["status"], shown["collection_paused"]) == ("active", True)
    assert shown["collection_resumes_at"] == "2027-01-15T08:00:00Z"


def test_status_is_the_users_own(alice_api, bob_api, stripe):
    pro(alice_api, stripe)

    assert status_of(bob_api)["subscription"] is None


def test_cancel_ends_it_with_the_period(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)

    answer = alice_api.post(CANCEL)

    assert answer.status_code == 200
    assert answer.json()["tier"] == "pro"
    assert answer.json()["subscription"]["cancel_at_period_end"] is True
    assert stripe.objects["subscriptions"][subscription["id"]]["cancel_at_period_end"] is True

    stripe.change(subscription["id"], status="canceled")
    deliver_all(stripe)
    assert tier_of(alice) == "basic"
    assert status_of(alice_api)["subscription"] is None


def test_what_a_user_does_to_a_subscription_is_audited(alice, alice_api, stripe):
    pro(alice_api, stripe)
    for path in (CANCEL, RESUME, "/api/v1/subscription/portal"):
        assert alice_api.post(path).status_code == 200

    events = AuditEvent.objects.filter(user_id=alice.pk, actor="").order_by("id")

    assert list(events.values_list("action", "address__ip")) == [
        ("checkout_started", "127.0.0.1"),
        ("cancellation_ordered", "127.0.0.1"),
        ("resumption_ordered", "127.0.0.1"),
        ("portal_opened", "127.0.0.1"),
    ]


def test_cancel_again_changes_nothing(alice_api, stripe):
    pro(alice_api, stripe)
    first = alice_api.post(CANCEL).json()

    assert alice_api.post(CANCEL).json() == first


def test_resume_takes_the_cancellation_back(alice_api, stripe):
    subscription = pro(alice_api, stripe)
    alice_api.post(CANCEL)

    answer = alice_api.post(RESUME)

    assert answer.json()["subscription"]["cancel_at_period_end"] is False
    assert stripe.objects["subscriptions"][subscription["id"]]["cancel_at_period_end"] is False


def test_date_of_cancellation_counts_as_ending_and_can_be_taken_back(alice_api, stripe):
    subscription = pro(alice_api, stripe)
    stripe.change(subscription["id"], cancel_at=subscription["start_date"] + 3600)
    deliver_all(stripe)
    assert status_of(alice_api)["subscription"]["cancel_at_period_end"] is True

    answer = alice_api.post(RESUME)

    assert answer.json()["subscription"]["cancel_at_period_end"] is False
    assert stripe.objects["subscriptions"][subscription["id"]]["cancel_at"] is None


@pytest.mark.parametrize("path", [CANCEL, RESUME])
def test_nobody_cancels_what_is_not_there(alice_api, stripe, path):
    answer = alice_api.post(path)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_subscribed")


@pytest.mark.parametrize("path", [CANCEL, RESUME])
def test_cancelling_needs_a_token(client, db, path):
    assert client.post(path).status_code == 401


def test_cancel_of_what_is_over_at_stripe_heals(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    stripe.change(subscription["id"], status="canceled")

    answer = alice_api.post(CANCEL)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_subscribed")
    assert tier_of(alice) == "basic"


def test_cancel_while_stripe_is_down_is_unavailable(alice_api, stripe):
    pro(alice_api, stripe)
    stripe.fail("POST", "/v1/subscriptions", status=500, times=9)

    assert alice_api.post(CANCEL).json()["code"] == "payment_unavailable"


def test_success_page_is_quicker_than_the_webhook(alice, alice_api, client, stripe):
    subscribe(alice_api, stripe)
    session = Session.objects.get()

    page = client.get(SUCCESS, {"session_id": session.id})

    assert "You are on Pro" in page.content.decode()
    assert tier_of(alice) == "pro"
    deliver_all(stripe)
    assert tier_of(alice) == "pro"


def test_success_page_of_an_unpaid_session_says_so(alice, alice_api, client, stripe):
    session_id = alice_api.post("/api/v1/subscription/subscribe/pro").json()["session_id"]

    page = client.get(SUCCESS, {"session_id": session_id})

    assert "Not on Pro yet" in page.content.decode()
    assert tier_of(alice) == "basic"


@pytest.mark.parametrize("query", ["", "?session_id=cs_test_x", "?session_id=%00", "?pro=1"])
def test_success_page_believes_no_query_and_asks_nobody(alice, client, stripe, query):
    page = client.get(f"{SUCCESS}{query}")

    assert "Nothing to show" in page.content.decode()
    assert stripe.requests == []


def test_success_page_of_a_session_whose_customer_is_anothers(alice, alice_api, client, stripe):
    subscribe(alice_api, stripe)
    session = Session.objects.get()
    Session.objects.update(stripe_data=session.stripe_data | {"client_reference_id": "x" * 36})

    page = client.get(SUCCESS, {"session_id": session.id})

    assert "Nothing to show" in page.content.decode()
    assert tier_of(alice) == "basic"


def test_success_page_stands_while_stripe_is_down(alice_api, client, stripe):
    subscribe(alice_api, stripe)
    stripe.fail("GET", "/v1/checkout/sessions", status=500, times=9)

    page = client.get(f"{SUCCESS}/", {"session_id": Session.objects.get().id})

    assert page.status_code == 200
    assert "Not on Pro yet" in page.content.decode()


def test_cancel_page_says_that_nothing_was_charged(client, db):
    page = client.get("/billing/cancel")

    assert "Nothing was charged" in page.content.decode()


@pytest.mark.parametrize("path", ["/billing/success", "/billing/cancel"])
def test_pages_hold_under_a_strict_policy(client, db, path):
    page = client.get(path).content.decode()

    assert "<script" not in page
    assert "<style" not in page
    assert " style=" not in page

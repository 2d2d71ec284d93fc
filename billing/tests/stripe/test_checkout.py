"""From Checkout to Pro, and what may stand in the way."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from djstripe.models import Session

from billing.tests.plans import with_plan
from tests.support.payments import PRICE, deliver_all, pro, status_of, subscribe, tier_of
from tests.support.plugins.cast import api_for

SUBSCRIBE = "/api/v1/subscription/subscribe/pro"
PORTAL = "/api/v1/subscription/portal"


def made(stripe, kind):
    return [r for r in stripe.requests if (r.method, r.path) == ("POST", f"/v1/{kind}")]


def test_subscribe_gives_a_checkout_page(alice, alice_api, stripe):
    answer = alice_api.post(SUBSCRIBE)

    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "checkout_url": f"{stripe.url}/c/pay/{body['session_id']}",
        "session_id": body["session_id"],
    }
    asked = made(stripe, "checkout/sessions")[0].params
    assert asked["client_reference_id"] == str(alice.pk)
    assert asked["line_items"] == [{"price": PRICE, "quantity": "1"}]
    assert asked["success_url"].endswith("/billing/success?session_id={CHECKOUT_SESSION_ID}")
    assert asked["cancel_url"].endswith("/billing/cancel")
    assert Session.objects.get().id == body["session_id"]


def test_subscribe_takes_the_urls_of_the_settings(alice_api, stripe, settings):
    settings.STRIPE_SUCCESS_URL = "https://app.example/done?from=stripe"
    settings.STRIPE_CANCEL_URL = "https://app.example/plans"

    alice_api.post(f"{SUBSCRIBE}/")

    asked = made(stripe, "checkout/sessions")[0].params
    session_id = "session_id={CHECKOUT_SESSION_ID}"
    assert asked["success_url"] == f"https://app.example/done?from=stripe&{session_id}"
    assert asked["cancel_url"] == "https://app.example/plans"


def test_subscribe_tells_stripe_nothing_about_the_person(alice, alice_api, stripe):
    alice_api.post(SUBSCRIBE)

    assert made(stripe, "customers")[0].params == {"metadata": {"user_id": str(alice.pk)}}


@pytest.mark.parametrize("path", [SUBSCRIBE, PORTAL])
def test_paying_needs_a_token(client, db, stripe, path):
    assert client.post(path).status_code == 401


@pytest.mark.parametrize("action", ["subscribe/pro", "portal", "cancel", "resume"])
def test_without_a_key_billing_says_so(alice_api, action):
    answer = alice_api.post(f"/api/v1/subscription/{action}")

    assert (answer.status_code, answer.json()["code"]) == (503, "billing_not_configured")


def test_paying_makes_the_user_pro_by_webhook(alice, alice_api, stripe):
    subscribe(alice_api, stripe)

    assert tier_of(alice) == "basic"
    deliver_all(stripe)
    assert tier_of(alice) == "pro"
    assert status_of(alice_api)["subscription"]["status"] == "active"


def test_open_page_is_given_out_again(alice_api, stripe):
    first = alice_api.post(SUBSCRIBE).json()

    assert alice_api.post(SUBSCRIBE).json() == first
    assert len(made(stripe, "checkout/sessions")) == 1
    assert len(made(stripe, "customers")) == 1


def test_expired_page_is_replaced(alice_api, stripe):
    first = alice_api.post(SUBSCRIBE).json()
    stripe.objects["checkout/sessions"][first["session_id"]]["status"] = "expired"

    second = alice_api.post(SUBSCRIBE).json()

    assert second["session_id"] != first["session_id"]


def test_page_for_another_price_is_ended(alice_api, stripe, settings):
    first = alice_api.post(SUBSCRIBE).json()
    stripe.add_price("price_new")
    with_plan(settings, "pro", stripe_price_ids=["price_new", PRICE])

    second = alice_api.post(SUBSCRIBE).json()

    sessions = stripe.objects["checkout/sessions"]
    assert sessions[first["session_id"]]["status"] == "expired"
    assert sessions[second["session_id"]]["status"] == "open"


def test_subscriber_is_refused(alice_api, stripe):
    pro(alice_api, stripe)

    answer = alice_api.post(SUBSCRIBE)

    assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")


def test_subscriber_whose_webhook_was_lost_is_refused_and_made_pro(alice, alice_api, stripe):
    subscribe(alice_api, stripe)

    answer = alice_api.post(SUBSCRIBE)

    assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")
    assert tier_of(alice) == "pro"


def test_subscriber_to_something_else_may_subscribe(alice, alice_api, stripe):
    stripe.add_price("price_mug")
    alice_api.post(SUBSCRIBE)
    alice.refresh_from_db()
    stripe.subscribe(alice.stripe_customer_id, "price_mug")
    deliver_all(stripe)

    assert status_of(alice_api)["subscription"] is None
    assert alice_api.post(SUBSCRIBE).status_code == 200


def test_former_subscriber_may_subscribe_again(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    stripe.change(subscription["id"], status="canceled")
    deliver_all(stripe)

    pro(alice_api, stripe)

    assert len(made(stripe, "customers")) == 1


def test_customer_deleted_at_stripe_is_made_anew(alice, alice_api, stripe):
    alice_api.post(SUBSCRIBE)
    alice.refresh_from_db()
    former = alice.stripe_customer_id
    stripe.delete_customer(former)

    assert alice_api.post(SUBSCRIBE).status_code == 200

    alice.refresh_from_db()
    assert alice.stripe_customer_id not in (None, former)


def test_customer_of_another_account_is_made_anew(alice, alice_api, stripe):
    alice.stripe_customer_id = "cus_of_the_test_account"
    alice.save(update_fields=["stripe_customer_id"])

    assert alice_api.post(SUBSCRIBE).status_code == 200


def test_answer_that_got_lost_makes_no_second_customer(alice, alice_api, stripe):
    stripe.fail("POST", "/v1/customers", drop=True, times=2)

    assert alice_api.post(SUBSCRIBE).status_code == 503
    assert alice_api.post(SUBSCRIBE).status_code == 200

    assert len(stripe.objects["customers"]) == 1


def test_missing_price_is_a_fault_of_the_operators(alice_api, stripe, settings, caplog):
    with_plan(settings, "pro", stripe_price_ids=["price_typo"])

    answer = alice_api.post(SUBSCRIBE)

    assert (answer.status_code, answer.json()["code"]) == (503, "payment_refused")
    assert "No such price: 'price_typo'" in caplog.text


def test_inactive_price_is_a_fault_of_the_operators(alice_api, stripe):
    stripe.objects["prices"][PRICE]["active"] = False

    answer = alice_api.post(SUBSCRIBE)

    assert (answer.status_code, answer.json()["code"]) == (503, "payment_refused")


def test_refused_key_is_a_fault_of_the_operators(alice_api, stripe):
    stripe.secret_key = "sk_test_another"

    assert alice_api.post(SUBSCRIBE).json()["code"] == "payment_refused"


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"drop": True}])
def test_stripe_down_is_unavailable(alice_api, stripe, fault):
    stripe.fail("POST", "/v1/checkout/sessions", times=9, **fault)

    answer = alice_api.post(SUBSCRIBE)

    assert (answer.status_code, answer.json()["code"]) == (503, "payment_unavailable")
    assert int(answer["Retry-After"]) > 0


def test_nobody_at_stripes_address_is_unavailable(alice_api, stripe):
    stripe._server.socket.close()

    assert alice_api.post(SUBSCRIBE).json()["code"] == "payment_unavailable"


def test_slow_stripe_is_given_up_in_time(alice_api, stripe, settings):
    settings.STRIPE_REQUEST_SECONDS = 1.0
    begun = time.monotonic()

    with stripe.hold("POST", "/v1/customers"):
        answer = alice_api.post(SUBSCRIBE)

    assert (answer.status_code, answer.json()["code"]) == (503, "payment_unavailable")
    # Well before the 5 s that one read may take, let alone the two tries.
    assert time.monotonic() - begun < 4


def test_chat_goes_on_while_stripe_is_down(carol, stripe):
    stripe._server.socket.close()

    answer = api_for(carol).post("/api/v1/chatroom/", {"title": "Plans"})

    assert answer.status_code == 201


def test_idempotency_key_gives_the_first_answer_again(alice_api, stripe):
    first = alice_api.post(SUBSCRIBE, headers={"Idempotency-Key": "one"})
    stripe.objects["checkout/sessions"][first.json()["session_id"]]["status"] = "expired"

    second = alice_api.post(SUBSCRIBE, headers={"Idempotency-Key": "one"})

    assert second.json() == first.json()
    assert second["Idempotent-Replayed"] == "true"


@pytest.mark.django_db(transaction=True)
def test_two_checkouts_at_once_are_one(alice, stripe):
    start = threading.Barrier(4)

    def subscribe_together(_):
        try:
            api = api_for(alice)
            start.wait()
            return api.post(SUBSCRIBE).json()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(subscribe_together, range(4)))

    assert len({answer["session_id"] for answer in answers}) == 1
    assert len(stripe.objects["customers"]) == 1
    assert len(stripe.objects["checkout/sessions"]) == 1


@pytest.mark.django_db(transaction=True)
def test_checkout_that_overtakes_another_is_the_same(alice, stripe):
    expired = api_for(alice).post(SUBSCRIBE).json()["session_id"]
    stripe.objects["checkout/sessions"][expired]["status"] = "expired"

    def subscribe_and_close():
        try:
            return api_for(alice).post(SUBSCRIBE).json()
        finally:
            connection.close()

    with (
        ThreadPoolExecutor(1) as threads,
        stripe.hold("GET", "/v1/checkout/sessions") as slow,
    ):
        first = threads.submit(subscribe_and_close)
        assert slow.arrived.wait(20)
        second = api_for(alice).post(SUBSCRIBE).json()
        slow.release.set()
        assert first.result() == second

    assert set(stripe.objects["checkout/sessions"]) == {expired, second["session_id"]}


def test_portal_leads_to_stripe(alice_api, stripe, settings):
    settings.STRIPE_PORTAL_CONFIGURATION = "bpc_own"
    pro(alice_api, stripe)

    answer = alice_api.post(PORTAL)

    assert answer.status_code == 200
    assert answer.json()["portal_url"].startswith(f"{stripe.url}/p/session/")
    assert made(stripe, "billing_portal/sessions")[0].params["configuration"] == "bpc_own"


def test_portal_without_a_customer_has_nothing_to_show(alice_api, stripe):
    answer = alice_api.post(PORTAL)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_subscribed")

"""Which calls wait for Stripe in a web process, and which are limited."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client

from accounts.models import LimitHit, User
from billing.stripe import client, subscriptions
from billing.stripe.client import Caller, PaymentUnavailable, stripe_calls
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.fakes.stripe_wire import signed
from tests.support.marks import transactional
from tests.support.payments import deliver_all, post, subscribe
from tests.support.plugins.cast import api_for
from tests.support.waiting import in_background

pytestmark = transactional


@pytest.fixture
def in_web(settings: Any) -> Iterator[None]:
    """The permits of a web process of four threads: one for people, one for staff."""
    settings.WEB_THREADS = 4
    client.limit_for_web()
    yield
    client._limits = None


@contextmanager
def permit_held_by(caller: Caller) -> Iterator[None]:
    """A request of another thread waits for Stripe in the block."""
    is_held, is_over = threading.Event(), threading.Event()

    def wait() -> None:
        with stripe_calls(caller=caller):
            is_held.set()
            is_over.wait(20)

    waiting = in_background(wait)
    assert is_held.wait(10)
    try:
        yield
    finally:
        is_over.set()
        waiting.result(10)


def test_people_staff_and_webhooks_do_not_wait_for_each_others_permits(
    alice: User, stripe: FakeStripe, in_web: None
) -> None:
    api = api_for(alice)
    subscribe(api, stripe)

    with permit_held_by(Caller.PERSON):
        refused = api.post("/api/v1/subscription/portal")
        deliver_all(stripe)
        alice.refresh_from_db()
        with stripe_calls(caller=Caller.STAFF):
            subscriptions.cancel_at_period_end(user=alice)
        with (
            permit_held_by(Caller.STAFF),
            pytest.raises(PaymentUnavailable),
            stripe_calls(caller=Caller.STAFF),
        ):
            pass

    assert (refused.status_code, refused.json()["code"]) == (503, "payment_unavailable")
    assert refused["Retry-After"] == "5"
    assert api.post("/api/v1/subscription/portal").status_code == 200
    assert api.post("/api/v1/subscription/resume").status_code == 200
    # Subscribing, the portal, and the resumption; what staff did is not the person's.
    assert LimitHit.objects.filter(kind=LimitHit.Kind.STRIPE_CALL).count() == 3


def test_refusals_of_stripe_do_not_open_the_breaker(
    alice: User, stripe: FakeStripe, in_web: None
) -> None:
    api = api_for(alice)
    for status in (400, 402, 429):
        stripe.fail("POST", "/v1/customers", status=status, times=2)
        assert api.post("/api/v1/subscription/subscribe/pro").status_code == 503
        stripe._faults.clear()

    assert api.post("/api/v1/subscription/subscribe/pro").status_code == 200


def test_breaker_holds_webhooks_off_for_stripe_to_deliver_again(
    alice: User, stripe: FakeStripe, in_web: None
) -> None:
    api = api_for(alice)
    subscribe(api, stripe)
    stripe.fail("POST", "/v1/billing_portal", status=500, times=4)
    for _ in range(2):
        assert api.post("/api/v1/subscription/portal").status_code == 503
    asked = len(stripe.requests)

    answer = post(*signed(stripe.events[-1], "whsec_fake"))

    assert (answer.status_code, answer.json()["code"]) == (503, "payment_unavailable")
    assert 1 <= int(answer["Retry-After"]) <= 10
    assert len(stripe.requests) == asked


def test_success_page_asks_stripe_as_often_as_its_payer_may(
    alice: User, stripe: FakeStripe, settings: Any
) -> None:
    settings.STRIPE_CALLS_PER_HOUR = 3
    session = api_for(alice).post("/api/v1/subscription/subscribe/pro").json()["session_id"]
    browser = Client()

    asked = []
    for _ in range(4):
        assert browser.get(f"/billing/success?session_id={session}").status_code == 200
        asked.append(len(stripe.requests))

    assert asked[0] < asked[1] == asked[2] == asked[3]

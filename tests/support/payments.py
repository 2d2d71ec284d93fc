"""Common steps of the tests of billing: subscribe, deliver events, read the result."""

from typing import Any

from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.fakes.stripe_objects import Object
from tests.support.fakes.stripe_wire import signed

KEY = "sk_test_FakeFakeFakeFakeFakeFake"
SECRET = "whsec_fake"
PRICE = "price_pro"
WEBHOOK = "/api/v1/subscription/webhook/stripe"


def subscribe(api: APIClient, stripe: FakeStripe, **fields: Any) -> Object:
    """Pay in Checkout; the events are not delivered yet."""
    answer = api.post("/api/v1/subscription/subscribe/pro")
    assert answer.status_code == 200, answer.content
    return stripe.pay(answer.json()["session_id"], **fields)


def deliver(*events: Object, secret: str = SECRET) -> list[int]:
    """Post the events to the webhook, as Stripe does; returns the statuses."""
    return [post(*signed(event, secret)).status_code for event in events]


def post(body: bytes, headers: dict[str, str], **more: str) -> Any:
    client = Client(raise_request_exception=False)
    return client.post(WEBHOOK, body, content_type="application/json", headers={**headers, **more})


def deliver_all(stripe: FakeStripe) -> None:
    """Deliver every event of the fake, in order."""
    assert set(deliver(*stripe.events)) <= {200}


def tier_of(user: User) -> str:
    return User.objects.get(pk=user.pk).tier


def status_of(api: APIClient) -> Any:
    answer = api.get("/api/v1/subscription/status")
    assert answer.status_code == 200
    return answer.json()


def pro(api: APIClient, stripe: FakeStripe) -> Object:
    """Make a subscription and deliver all of its events."""
    subscription = subscribe(api, stripe)
    deliver_all(stripe)
    assert status_of(api)["tier"] == "pro"
    return subscription

"""The fake sends only fields of the SDK, and every field that Stripe always sends.

The SDK's classes are generated from Stripe's own description of its API.
"""

import types
import typing

import pytest
import stripe as sdk
from stripe import billing_portal, checkout

from tests.support.fakes.stripe_api import FakeStripe
from tests.support.fakes.stripe_wire import read_params
from tests.support.payments import PRICE, pro

CLASSES = {
    "customer": sdk.Customer,
    "product": sdk.Product,
    "price": sdk.Price,
    "plan": sdk.Plan,
    "checkout.session": checkout.Session,
    "subscription": sdk.Subscription,
    "subscription_schedule": sdk.SubscriptionSchedule,
    "subscription_item": sdk.SubscriptionItem,
    "billing_portal.session": billing_portal.Session,
    "billing_portal.configuration": billing_portal.Configuration,
    "webhook_endpoint": sdk.WebhookEndpoint,
    "event": sdk.Event,
    "charge": sdk.Charge,
    "dispute": sdk.Dispute,
    "payment_intent": sdk.PaymentIntent,
    "payment_method": sdk.PaymentMethod,
    "balance_transaction": sdk.BalanceTransaction,
    "account": sdk.Account,
}


def fields_of(kind):
    """All fields of a class of the SDK, and the required fields among them."""
    annotations = {
        name: annotation
        for name, annotation in CLASSES[kind].__annotations__.items()
        if typing.get_origin(annotation) is not typing.ClassVar
    }
    required = {
        name
        for name, annotation in annotations.items()
        if types.NoneType not in typing.get_args(annotation) and name != "OBJECT_NAME"
    }
    return set(annotations), required


def objects_in(answer):
    """Each object in an answer, the nested ones too."""
    if isinstance(answer, list):
        for each in answer:
            yield from objects_in(each)
    elif isinstance(answer, dict):
        kind = answer.get("object")
        if isinstance(kind, str) and kind in CLASSES and not answer.get("deleted"):
            yield answer
        for each in answer.values():
            yield from objects_in(each)


def test_every_object_of_the_fake_has_the_sdks_fields(alice, alice_api, stripe: FakeStripe):
    pro(alice_api, stripe)
    alice_api.post("/api/v1/subscription/portal")
    alice.refresh_from_db()
    stripe.schedule(next(iter(stripe.objects["subscriptions"])))
    stripe.dispute(stripe.charge(alice.stripe_customer_id)["id"])
    endpoint = sdk.WebhookEndpoint.create(url="https://chat.example", enabled_events=["*"])
    billing_portal.Configuration.create(features={})
    kept = [list(kept.values()) for kept in stripe.objects.values()]

    found = list(objects_in([kept, stripe.events, sdk.Account.retrieve().to_dict()]))

    assert {each["object"] for each in found} == set(CLASSES)
    assert endpoint.secret
    for each in found:
        known, required = fields_of(each["object"])
        own = {name for name in each if not name.startswith("_")}
        assert own - known == set(), each["object"]
        assert required - own == set(), each["object"]


def test_fake_replays_an_idempotent_request(stripe):
    first = sdk.Customer.create(metadata={"n": "1"}, idempotency_key="k")

    assert sdk.Customer.create(metadata={"n": "1"}, idempotency_key="k").id == first.id
    with pytest.raises(sdk.IdempotencyError):
        sdk.Customer.create(metadata={"n": "2"}, idempotency_key="k")


def test_fake_pages_its_lists(stripe):
    customer = sdk.Customer.create()
    made = [stripe.subscribe(customer.id, PRICE)["id"] for _ in range(5)]

    listed = sdk.Subscription.list(customer=customer.id, limit=2).auto_paging_iter()

    assert [each.id for each in listed] == made[::-1]


def test_fake_reads_the_sdks_form_encoding():
    encoded = "a[b]=1&list[0][c]=x&list[1][c]=y&plain[]=p&plain[]=q&empty="

    assert read_params(encoded) == {
        "a": {"b": "1"},
        "list": [{"c": "x"}, {"c": "y"}],
        "plain": ["p", "q"],
        "empty": "",
    }

"""Signed events of another shape than Stripe's: never half stored, never a 500."""

import copy
from typing import Any

import pytest
from djstripe.models import Event, WebhookEventTrigger

from billing.models import Flag
from tests.support.payments import deliver, subscribe

REMOVED = object()
JUNK: list[Any] = [
    *[REMOVED, None, [], {}, "", "x" * 300, -1, 1.5, True, 10**30, "\u20ac;'"],
    *[{"id": None}, {"id": []}, {"object": None}, {"object": {}}],
]
PATHS = [
    *["id", "object", "type", "created", "livemode", "data", "request", "api_version", "account"],
    *["pending_webhooks", "request.id", "request.idempotency_key", "data.previous_attributes"],
    *["data.object", "data.object.id", "data.object.object", "data.object.customer"],
    *["data.object.charge", "data.object.metadata", "data.object.items"],
]


@pytest.fixture
def event(alice_api, stripe):
    subscribe(alice_api, stripe)
    return next(e for e in stripe.events if e["type"] == "customer.subscription.created")


def mutations(event: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """The event with each kind of junk at this path, each with another id."""
    made = []
    *way, last = path.split(".")
    for number, junk in enumerate(JUNK):
        mutated = copy.deepcopy(event) | {"id": f"evt_{path.replace('.', '_')}_{number}"}
        mutated["request"] = {"id": "req_1", "idempotency_key": None}
        inner = mutated
        for name in way:
            inner = inner[name]
        if junk is REMOVED:
            inner.pop(last, None)
        else:
            inner[last] = junk
        made.append(mutated)
    return made


def assert_taken_or_refused(events: list[dict[str, Any]]) -> None:
    for each in events:
        before = WebhookEventTrigger.objects.count(), Event.objects.count()

        [status] = deliver(each)

        assert status in (200, 400), each
        after = WebhookEventTrigger.objects.count(), Event.objects.count()
        if status == 400:
            assert after == before, each
    assert set(WebhookEventTrigger.objects.values_list("processed", "exception")) <= {(True, "")}


@pytest.mark.parametrize("path", PATHS)
def test_event_of_an_odd_shape_is_taken_or_refused(path, event):
    assert_taken_or_refused(mutations(event, path))


@pytest.mark.parametrize(
    ("type_", "member"),
    [
        ("charge.refunded", "amount_refunded"),
        ("charge.refunded", "currency"),
        ("charge.dispute.created", "amount"),
        ("charge.dispute.created", "charge"),
    ],
)
def test_odd_charge_or_dispute_is_refused(type_, member, event):
    charge = {"id": "ch_1", "object": "charge", "amount_refunded": 1, "currency": "inr"}
    dispute = {"id": "dp_1", "object": "dispute", "amount": 1, "currency": "inr", "charge": "ch_1"}
    subject = dispute if "dispute" in type_ else charge
    whole = event | {"type": type_, "data": {"object": subject}}

    statuses = [deliver(each) for each in mutations(whole, f"data.object.{member}")]

    # Any short text is a currency here. Stripe has no such charge, so nothing is flagged.
    accepted = statuses.count([200]) if member == "currency" else 0
    assert statuses.count([400]) == len(JUNK) - accepted
    assert accepted <= 1
    assert not Flag.objects.exists()


@pytest.mark.parametrize("data", [None, [], {"object": None}, {"object": []}, {"object": "x"}])
def test_event_about_nothing_is_refused(data, event):
    assert deliver(event | {"data": data}) == [400]
    assert not WebhookEventTrigger.objects.exists()

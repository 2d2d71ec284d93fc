"""Alerts of refunds and disputes, and their changes after staff resolved them."""

import pytest
from django.utils import timezone

from billing.models import Flag
from tests.support.payments import deliver, deliver_all, pro


@pytest.fixture
def charge(alice, alice_api, stripe):
    """A payment of alice."""
    pro(alice_api, stripe)
    alice.refresh_from_db()
    return stripe.charge(alice.stripe_customer_id)


def resolve():
    assert Flag.objects.filter(resolved_at=None).update(resolved_at=timezone.now()) == 1


def test_second_refund_opens_the_alert_again(charge, stripe):
    stripe.refund(charge["id"], amount=100)
    deliver_all(stripe)
    resolve()

    stripe.refund(charge["id"], amount=200)
    deliver(stripe.events[-1])

    flag = Flag.objects.get()
    assert flag.resolved_at is None
    assert flag.note.startswith("300 inr of cus_")


def test_refund_that_fails_later_opens_the_alert_again(charge, stripe):
    stripe.refund(charge["id"])
    deliver_all(stripe)
    resolve()

    stripe.objects["charges"][charge["id"]] |= {"refunded": False, "amount_refunded": 0}
    stripe._note(
        "charge.refund.updated", {"object": "refund", "id": "re_1", "charge": charge["id"]}
    )

    assert deliver(stripe.events[-1]) == [200]
    assert Flag.objects.get().note.startswith("0 inr of cus_")
    assert Flag.objects.get().resolved_at is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("closed", {"status": "lost"}), ("updated", {"status": "under_review"})]
    + [("updated", {"amount": 100})],
)
def test_changed_dispute_opens_the_alert_again(charge, stripe, kind, fields):
    dispute = stripe.dispute(charge["id"])
    deliver_all(stripe)
    resolve()

    stripe.change_dispute(dispute["id"], kind=kind, **fields)
    assert deliver(stripe.events[-1]) == [200]

    flag = Flag.objects.get()
    assert flag.resolved_at is None
    assert str(fields.get("status", 100)) in flag.note


def test_events_of_a_known_state_leave_the_alert_resolved(charge, stripe):
    dispute = stripe.dispute(charge["id"])
    created = stripe.events[-1]
    stripe.change_dispute(dispute["id"], kind="closed", status="lost")
    deliver_all(stripe)
    resolve()

    stripe.change_dispute(dispute["id"], kind="funds_withdrawn")
    deliver(stripe.events[-1])
    # The first state, delivered once more.
    deliver(created | {"id": "evt_again"})

    assert Flag.objects.get().resolved_at is not None

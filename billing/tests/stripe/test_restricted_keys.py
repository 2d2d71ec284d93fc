"""A restricted key of Stripe works, or the log and `doctor` name the missing permission."""

import pytest

from backoffice.management.doctor import CheckFailed, stripe_answers
from billing.checks import check_settings
from billing.stripe import client
from tests.support.payments import KEY, deliver_all, pro, tier_of

RESTRICTED = f"rk_{KEY[3:]}"
# docs/operations.md has the same list.
PERMISSIONS = {
    "balance_read",
    "charge_read",
    "checkout_session_write",
    "customer_portal_write",
    "customer_write",
    "dispute_read",
    "payment_intent_read",
    "payment_method_read",
    "plan_read",
    "product_read",
    "subscription_write",
}


@pytest.fixture
def restricted(stripe, settings):
    """The fake of Stripe, with a restricted key in the settings."""
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = RESTRICTED
    stripe.secret_key = RESTRICTED
    stripe.permissions = set(PERMISSIONS)
    client.configure()
    return stripe


def test_restricted_key_is_enough_for_everything(alice, alice_api, restricted):
    pro(alice_api, restricted)
    alice.refresh_from_db()
    charge = restricted.charge(alice.stripe_customer_id)
    restricted.dispute(charge["id"])
    restricted.refund(charge["id"])
    deliver_all(restricted)

    answers = [
        alice_api.post(f"/api/v1/subscription/{action}").status_code
        for action in ("cancel", "resume", "portal")
    ]

    assert answers == [200] * 3
    assert tier_of(alice) == "pro"
    assert check_settings() == []
    assert "sells" in stripe_answers()


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("subscribe/pro", "checkout_session_write"),
        ("portal", "customer_portal_write"),
        ("cancel", "subscription_write"),
    ],
)
def test_missing_permission_is_named(alice_api, restricted, caplog, action, permission):
    if action != "subscribe/pro":
        pro(alice_api, restricted)
    restricted.permissions.discard(permission)

    answer = alice_api.post(f"/api/v1/subscription/{action}")

    assert (answer.status_code, answer.json()["code"]) == (503, "payment_refused")
    # Subscribing and cancelling read first.
    assert permission in caplog.text or permission.replace("write", "read") in caplog.text


def test_doctor_names_the_missing_permission(restricted):
    restricted.permissions.discard("plan_read")

    with pytest.raises(CheckFailed, match="plan_read"):
        stripe_answers()

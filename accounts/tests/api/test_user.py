"""The user's own account: what is shown, and what can be changed."""

import json

import pytest

from accounts.models import User
from tests.support.accounts.sign_in import NUMBER, code_for, post

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("slash", ["", "/"])
def test_name_is_changed(alice, alice_api, slash):
    answer = alice_api.patch(f"/api/v1/user/me{slash}", {"name": "  Alicia  "})

    assert answer.status_code == 200
    assert answer.json()["name"] == "Alicia"
    alice.refresh_from_db()
    assert alice.name == "Alicia"


def test_name_can_be_taken_away(alice, alice_api):
    alice_api.patch("/api/v1/user/me", {"name": ""})

    alice.refresh_from_db()
    assert alice.name == ""


@pytest.mark.parametrize(
    "name", ["x" * 101, "a\0b", "a\u202eb", "a\u2066b", "\ud800", None, ["x"], {"x": 1}], ids=ascii
)
def test_odd_name_is_refused(alice, alice_api, name):
    # Not by the client's own encoder, which cannot write a lone surrogate.
    body = json.dumps({"name": name})

    answer = alice_api.patch("/api/v1/user/me", body, content_type="application/json")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "name"
    alice.refresh_from_db()
    assert alice.name == "Alice"


def test_other_fields_of_the_user_cannot_be_set(alice, alice_api):
    before = User.objects.filter(pk=alice.pk).values().get()

    answer = alice_api.patch(
        "/api/v1/user/me",
        {
            "tier": "pro",
            "is_staff": True,
            "is_superuser": True,
            "is_active": False,
            "id": "0190163d-8694-739b-aea5-966c26f8ad91",
            "mobile": NUMBER,
            "stripe_customer_id": "cus_1",
            "password": "x",
        },
    )

    assert answer.status_code == 200
    assert User.objects.filter(pk=alice.pk).values().get() == before


def test_signing_in_sets_no_other_fields_of_the_user():
    extra = {"tier": "pro", "is_staff": True, "id": "0190163d-8694-739b-aea5-966c26f8ad91"}
    post("auth/signup", {"mobile": NUMBER, **extra})

    post("auth/verify-otp", {"mobile": NUMBER, "otp": code_for(), **extra})

    user = User.objects.get()
    assert (user.tier, user.is_staff, str(user.pk) == extra["id"]) == ("basic", False, False)

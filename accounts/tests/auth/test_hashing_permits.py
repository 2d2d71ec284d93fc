"""Permits to hash passwords: without a permit a call is refused at once."""

from contextlib import ExitStack

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client as Browser

from accounts.auth import hashers
from accounts.models import LimitHit
from gemchat import settings as deployed
from gemchat.serving.permits import Permits
from tests.support.accounts.hashers import CountingHasher
from tests.support.accounts.sign_in import NUMBER, PASSWORD, post
from tests.support.marks import transactional
from tests.support.waiting import in_background


@pytest.fixture(autouse=True)
def deployed_hasher(settings):
    settings.PASSWORD_HASHERS = deployed.PASSWORD_HASHERS


@pytest.fixture
def taken(monkeypatch):
    """One permit, which another thread holds, and nobody may wait."""
    permits = Permits(1)
    monkeypatch.setattr(hashers, "HASHING", permits)
    with ExitStack() as held:
        held.enter_context(permits.taken())
        yield held


@transactional
@pytest.mark.parametrize("path", ["login", "signup"])
def test_call_beyond_the_permits_is_refused_and_counts_nothing(taken, alice_api, path):
    """Once 32 logins held every thread of a web process."""
    body = {"mobile": NUMBER, "password": PASSWORD}

    refused = in_background(lambda: post(f"auth/{path}", body)).result(20)
    served = alice_api.get("/api/v1/user/me")

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused["Retry-After"] == "1"
    assert not LimitHit.objects.exists()
    assert served.status_code == 200
    taken.close()
    assert post(f"auth/{path}", body).status_code in (201, 401)


@pytest.mark.django_db
def test_password_change_beyond_the_permits_is_refused_and_counts_nothing(taken, alice_api, alice):
    with_password = make_password_counting(alice)

    refused = alice_api.post(
        "/api/v1/auth/change-password",
        {"new_password": "quite another one", "current_password": "wrong one"},
    )

    alice.refresh_from_db()
    assert (refused.status_code, alice.password) == (503, with_password)
    assert not LimitHit.objects.exists()


def make_password_counting(user):
    user.password = make_password(PASSWORD, hasher=CountingHasher())
    user.save(update_fields=["password"])
    return user.password


@pytest.mark.django_db
def test_admin_sign_in_beyond_the_permits_is_refused(taken, staff_mobile="+919800000009"):
    form = {"username": staff_mobile, "password": PASSWORD, "otp_token": ""}

    refused = Browser().post("/admin/login/?next=/admin/", form)

    assert "Too many passwords are checked at the moment." in refused.content.decode()
    assert not LimitHit.objects.exists()


def test_every_hash_takes_a_permit(taken):
    with pytest.raises(hashers.Overloaded):
        make_password(PASSWORD)


def test_thread_that_holds_a_permit_hashes_with_it(monkeypatch):
    monkeypatch.setattr(hashers, "HASHING", Permits(1))

    with hashers.hashing_permit(), hashers.hashing_permit():
        encoded = make_password(PASSWORD)

    assert encoded.startswith("argon2")
    with hashers.HASHING.taken():
        pass

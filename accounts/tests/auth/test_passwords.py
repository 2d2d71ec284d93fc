"""Signing in by password, and who may change one."""

import base64
import json
import time
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from rest_framework.test import APIClient

from accounts.auth import signup_tokens
from accounts.models import LimitHit, User
from gemchat import settings as deployed
from tests.support.accounts.hashers import CountingHasher, GatedHasher
from tests.support.accounts.sign_in import (
    NUMBER,
    PASSWORD,
    api_with,
    code_for,
    let_pass,
    post,
    sign_in,
    status_of_me,
)
from tests.support.marks import transactional
from tests.support.waiting import in_background

NEW_PASSWORD = "quite another one"


@pytest.fixture
def with_password(alice):
    alice.set_password(PASSWORD)
    alice.save(update_fields=["password"])
    return alice


def login(mobile, password=PASSWORD):
    return post("auth/login", {"mobile": mobile, "password": password})


def change(access_token, **body):
    return api_with(access_token).post("/api/v1/auth/change-password", body)


@pytest.mark.django_db
def test_login_answers_like_verify_otp(with_password):
    answer = login("09800000001")

    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == str(with_password.pk)
    assert answer.json()["user"]["has_password"] is True
    assert status_of_me(answer.json()["access_token"]) == 200


@pytest.mark.django_db
def test_wrong_password_and_unknown_number_are_answered_alike(with_password, bob):
    answers = [login(with_password.mobile, "wrong one"), login(NUMBER), login(bob.mobile)]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert {answer.json()["code"] for answer in answers} == {"invalid_credentials"}
    assert len({answer.json()["detail"] for answer in answers}) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["known", "unknown", "without", "disabled"])
def test_every_login_costs_one_hash(with_password, bob, settings, who):
    settings.PASSWORD_HASHERS = ["tests.support.accounts.hashers.CountingHasher"]
    with_password.set_password(PASSWORD)
    with_password.is_active = who != "disabled"
    with_password.save()
    mobile = {"unknown": NUMBER, "without": bob.mobile}.get(who, with_password.mobile)
    CountingHasher.hashed.clear()

    login(mobile, "wrong one")

    assert len(CountingHasher.hashed) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["login", "signup"])
@pytest.mark.parametrize("size, status", [(129, 422), (200_000, 422), (1_000_000, 413)])
def test_long_password_is_refused_before_hashing(settings, path, size, status):
    settings.PASSWORD_HASHERS = ["tests.support.accounts.hashers.CountingHasher"]
    CountingHasher.hashed.clear()

    answer = post(f"auth/{path}", {"mobile": NUMBER, "password": "x" * size})

    assert answer.status_code == status
    assert CountingHasher.hashed == []
    assert not LimitHit.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["short", "x" * 129, "password123", "", 12345678, "a\0bcdefg"])
def test_weak_or_odd_password_is_refused(password):
    answer = change(sign_in()["access_token"], new_password=password)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "new_password"


@pytest.mark.django_db
def test_lone_surrogate_in_a_password_is_refused():
    body = b'{"mobile": "+919812345678", "password": "\\ud800aaaaaaaa"}'

    answer = APIClient().generic(
        "POST", "/api/v1/auth/login", body, content_type="application/json"
    )

    assert answer.status_code == 422


@pytest.mark.django_db
def test_first_password_needs_no_old_one():
    tokens = sign_in()
    let_pass(timedelta(minutes=9))

    assert change(tokens["access_token"], new_password=PASSWORD).status_code == 200
    assert login(NUMBER).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("guess", [None, "", "a guess at it"])
def test_stolen_token_sets_no_first_password(guess):
    stolen = sign_in()["access_token"]
    let_pass(timedelta(minutes=10))
    owner = sign_in()["access_token"]

    answer = change(stolen, new_password=NEW_PASSWORD, current_password=guess)

    assert (answer.status_code, answer.json()["code"]) == (403, "recent_sign_in_required")
    assert login(NUMBER, NEW_PASSWORD).status_code == 401
    assert status_of_me(owner) == 200


@pytest.mark.django_db
def test_session_of_a_fresh_code_may_set_a_password_without_the_old_one(with_password):
    tokens = sign_in(with_password.mobile)
    let_pass(timedelta(minutes=9))

    assert change(tokens["access_token"], new_password=NEW_PASSWORD).status_code == 200
    assert login(with_password.mobile, NEW_PASSWORD).status_code == 200
    assert login(with_password.mobile, PASSWORD).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["stale code", "password"])
def test_other_sessions_must_give_the_old_password(with_password, how):
    if how == "password":
        token = login(with_password.mobile).json()["access_token"]
    else:
        token = sign_in(with_password.mobile)["access_token"]
        let_pass(timedelta(minutes=10))

    without = change(token, new_password=NEW_PASSWORD)
    wrong = change(token, new_password=NEW_PASSWORD, current_password="wrong one")
    right = change(token, new_password=NEW_PASSWORD, current_password=PASSWORD)

    assert (without.status_code, without.json()["code"]) == (403, "current_password_required")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "current_password_wrong")
    assert right.status_code == 200


@pytest.mark.django_db
def test_guesses_at_the_old_password_are_limited(settings, with_password):
    settings.PASSWORD_FAILURES_PER_NUMBER = 2
    token = login(with_password.mobile).json()["access_token"]

    guesses = [
        change(token, new_password=NEW_PASSWORD, current_password="wrong one") for _ in range(2)
    ]
    refused = change(token, new_password=NEW_PASSWORD, current_password=PASSWORD)

    assert [guess.status_code for guess in guesses] == [403, 403]
    assert refused.status_code == 429


@pytest.mark.django_db
def test_password_of_a_sign_up_is_kept_by_whoever_signed_up():
    signup = post("auth/signup", {"mobile": NUMBER, "password": PASSWORD})
    token = signup.json()["data"]["signup_token"]

    verified = post("auth/verify-otp", {"mobile": NUMBER, "otp": code_for(), "signup_token": token})

    assert verified.json()["user"]["has_password"] is True
    assert login(NUMBER).status_code == 200


@pytest.mark.django_db
def test_signup_token_shows_neither_hash_nor_number(settings):
    """Once it was readable base64, with an argon2 hash to crack."""
    settings.PASSWORD_HASHERS = deployed.PASSWORD_HASHERS
    token = post("auth/signup", {"mobile": NUMBER, "password": PASSWORD}).json()["data"][
        "signup_token"
    ]

    parts = [token, *token.replace(".", ":").split(":")]
    readable = b"".join(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
    for secret in [b"argon2", NUMBER.encode(), NUMBER[1:].encode()]:
        assert secret not in readable + token.encode()


@pytest.mark.django_db
def test_signup_token_is_good_for_an_hour(settings):
    encoded = make_password(PASSWORD)
    content = json.dumps([NUMBER, encoded]).encode()
    cipher = signup_tokens._cipher()

    young = cipher.encrypt_at_time(content, int(time.time()) - 3500).decode()
    old = cipher.encrypt_at_time(content, int(time.time()) - 3700).decode()

    assert signup_tokens.open_seal(young, mobile=NUMBER) == encoded
    assert signup_tokens.open_seal(old, mobile=NUMBER) is None
    settings.SECRET_KEY = "another key of the server, which signed other tokens"
    assert signup_tokens.open_seal(young, mobile=NUMBER) is None


@pytest.mark.django_db
def test_stranger_who_signs_up_a_number_gets_no_password_for_it():
    post("auth/signup", {"mobile": NUMBER, "password": PASSWORD})

    sign_in(NUMBER)

    assert login(NUMBER).status_code == 401
    assert not User.objects.get().has_password


@pytest.mark.django_db
@pytest.mark.parametrize("fault", ["another number", "junk", "has one"])
def test_signup_token_without_effect(with_password, fault):
    mobile = with_password.mobile if fault == "has one" else NUMBER
    signed_up = "+919812345670" if fault == "another number" else mobile
    signup = post("auth/signup", {"mobile": signed_up, "password": NEW_PASSWORD})
    token = "junk" if fault == "junk" else signup.json()["data"]["signup_token"]
    verified = post(
        "auth/verify-otp", {"mobile": mobile, "otp": code_for(mobile), "signup_token": token}
    )

    assert verified.status_code == 200
    assert login(mobile, NEW_PASSWORD).status_code == 401


@transactional
def test_login_with_a_password_that_changes_meanwhile_is_refused(with_password, settings):
    """The login has checked the old password and waits for a row under change."""
    settings.PASSWORD_HASHERS = ["tests.support.accounts.hashers.GatedHasher"]
    with_password.set_password(PASSWORD)
    with_password.save(update_fields=["password"])
    GatedHasher.close()
    login_under_way = in_background(lambda: login(with_password.mobile))
    GatedHasher.wait_until_reached()
    User.objects.filter(pk=with_password.pk).update(password="!changed")
    GatedHasher.gate.set()

    assert login_under_way.result(10).status_code == 401

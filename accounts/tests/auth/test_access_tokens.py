"""Access tokens: which are let in, and what ends them at once."""

import base64
import json
import time

import jwt
import pytest
from rest_framework.test import APIClient

from accounts.api.authentication import session_for
from accounts.auth.tokens import AUDIENCE, ISSUER, keyring
from accounts.models import Session
from tests.support.accounts.sign_in import (
    NUMBER,
    PASSWORD,
    api_with,
    code_for,
    post,
    sign_in,
    status_of_me,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def tokens():
    return sign_in()


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def forged(token: str, *, key: str = "", algorithm: str = "HS256", kid: str = "", **changes) -> str:
    """A copy of a token with other claims, by default signed by the right key."""
    kid = kid or jwt.get_unverified_header(token)["kid"]
    key = key or keyring()[jwt.get_unverified_header(token)["kid"]].signing_key
    claims = {**claims_of(token), **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid})


def unsigned(token: str) -> str:
    header, payload, _ = token.split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=="))
    bare = base64.urlsafe_b64encode(json.dumps({**fields, "alg": "none"}).encode()).rstrip(b"=")
    return f"{bare.decode()}.{payload}."


def assert_refused(token: str) -> None:
    answer = api_with(token).get("/api/v1/user/me")
    assert answer.status_code == 401, answer.content
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"] == "application/problem+json"


def test_token_names_user_session_issuer_and_audience(tokens):
    claims = claims_of(tokens["access_token"])

    assert claims["sub"] == tokens["user"]["id"]
    assert claims["sid"] == str(Session.objects.get().pk)
    assert (claims["iss"], claims["aud"]) == (ISSUER, AUDIENCE)
    assert claims["exp"] - claims["iat"] == 24 * 3600


def test_forging_helper_makes_tokens_that_would_be_let_in(tokens):
    assert status_of_me(forged(tokens["access_token"])) == 200


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_token_of_a_machine_whose_clock_is_some_seconds_ahead_is_let_in(tokens, claim):
    now = int(time.time())

    ahead = {seconds: {claim: now + seconds} for seconds in (5, 20, 3600)}
    answers = [status_of_me(forged(tokens["access_token"], **ahead[key])) for key in ahead]

    assert answers == [200, 200, 401]


def test_leeway_does_not_prolong_a_token(tokens):
    assert_refused(forged(tokens["access_token"], exp=int(time.time()) - 1))


def test_unsigned_token_is_refused(tokens):
    assert_refused(unsigned(tokens["access_token"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "another-key-that-is-long-enough-for-the-algorithm-0123456789"},
        {"kid": "deadbeef"},
        {"algorithm": "HS384"},
        {"aud": "another"},
        {"aud": None},
        {"iss": "another"},
        {"iss": None},
        {"exp": 1},
        {"sub": None},
        {"sid": None},
        {"sub": "not an id"},
        {"sid": 12},
    ],
    ids=str,
)
def test_forged_token_is_refused(tokens, changes):
    assert_refused(forged(tokens["access_token"], **changes))


def test_token_of_another_users_session_is_refused(tokens, alice):
    assert_refused(forged(tokens["access_token"], sub=str(alice.pk)))


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Bearer \xff", "x"]
    + ["Bearer " + "[" * 60_000, "Bearer " + base64.b64encode(b"[" * 40_000).decode() + ".e.e"],
    ids=range(9),
)
def test_junk_in_the_header_is_refused(header):
    answer = APIClient().get("/api/v1/user/me", HTTP_AUTHORIZATION=header)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_no_header_is_refused():
    answer = APIClient().get("/api/v1/user/me")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_refresh_token_is_no_access_token(tokens):
    assert_refused(tokens["refresh_token"])


def test_access_token_is_no_refresh_token(tokens):
    answer = post("auth/refresh", {"refresh_token": tokens["access_token"][:200]})
    whole = post("auth/refresh", {"refresh_token": tokens["access_token"]})

    assert (answer.status_code, whole.status_code) == (401, 422)


def test_rotated_key_keeps_old_tokens_until_it_is_taken_away(tokens, settings):
    old = settings.JWT_SECRETS
    settings.JWT_SECRETS = ["a-new-key-that-is-long-enough-for-every-check-0123456789", *old]

    renewed = post("auth/refresh", {"refresh_token": tokens["refresh_token"]}).json()

    assert status_of_me(tokens["access_token"]) == 200
    assert status_of_me(renewed["access_token"]) == 200
    settings.JWT_SECRETS = settings.JWT_SECRETS[:1]
    assert status_of_me(tokens["access_token"]) == 401
    assert status_of_me(renewed["access_token"]) == 200


def test_token_is_out_at_once_after_logout(tokens):
    answer = api_with(tokens["access_token"]).post("/api/v1/auth/logout")

    assert answer.status_code == 204
    assert_refused(tokens["access_token"])


def test_logout_leaves_other_sessions_alone(tokens):
    other = sign_in()

    api_with(tokens["access_token"]).post("/api/v1/auth/logout")

    assert status_of_me(other["access_token"]) == 200


def test_every_token_is_out_at_once_after_logout_all(tokens, alice_api):
    other = sign_in()

    answer = api_with(tokens["access_token"]).post("/api/v1/auth/logout-all/")

    assert answer.status_code == 204
    assert_refused(tokens["access_token"])
    assert_refused(other["access_token"])
    assert alice_api.get("/api/v1/user/me").status_code == 200


def test_other_tokens_are_out_at_once_after_a_password_change(tokens):
    other = sign_in()

    changed = api_with(other["access_token"]).post(
        "/api/v1/auth/change-password", {"new_password": PASSWORD}
    )

    assert changed.status_code == 200
    assert_refused(tokens["access_token"])
    assert status_of_me(other["access_token"]) == 200


def test_token_is_out_at_once_after_a_ban(tokens):
    user = Session.objects.get().user

    user.disable()

    assert_refused(tokens["access_token"])
    user.enable()
    assert_refused(tokens["access_token"])


def test_token_is_out_at_once_after_deletion(tokens):
    Session.objects.get().user.delete()

    assert_refused(tokens["access_token"])
    refreshed = post("auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 401


def test_bad_token_does_not_stand_in_the_way_of_signing_in():
    otp = code_for(HTTP_AUTHORIZATION="Bearer x")

    answer = post("auth/verify-otp", {"mobile": NUMBER, "otp": otp}, HTTP_AUTHORIZATION="Bearer x")

    assert answer.status_code == 200


def test_session_and_user_are_as_the_orm_reads_them(tokens):
    post("auth/refresh", {"refresh_token": tokens["refresh_token"]})

    session = session_for(f"Bearer {tokens['access_token']}")

    expected = Session.objects.select_related("user").get()
    for found, read in [(session, expected), (session.user, expected.user)]:
        for field in read._meta.concrete_fields:
            assert getattr(found, field.attname) == getattr(read, field.attname), field


def test_authenticated_request_costs_one_query(tokens, django_assert_num_queries):
    api = api_with(tokens["access_token"])

    with django_assert_num_queries(1):
        api.get("/api/v1/user/me")

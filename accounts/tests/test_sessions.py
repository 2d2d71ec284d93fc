"""The list of sessions, and ending one of them."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from accounts.models import Session
from accounts.tests.phones import api_with, code_for, let_pass, sign_in, status_of_me, verify

pytestmark = pytest.mark.django_db


def test_sessions_are_listed_with_the_current_one_marked():
    sign_in()
    tokens = verify(code_for(), ip="203.0.113.5", HTTP_USER_AGENT="phone").json()

    answer = api_with(tokens["access_token"]).get("/api/v1/auth/sessions")

    assert answer.status_code == 200
    current, other = answer.json()
    assert current.keys() == {"id", "current", "created_at", "last_used_at", "ip", "user_agent"}
    assert (current["current"], current["ip"], current["user_agent"]) == (
        True,
        "203.0.113.5",
        "phone",
    )
    assert other["current"] is False
    assert current["created_at"].endswith("Z")


def test_ended_and_foreign_sessions_are_not_listed(alice_api, bob_api):
    Session.objects.filter(user__name="Bob").end(Session.Ending.LOGOUT)

    listed = alice_api.get("/api/v1/auth/sessions/").json()

    assert [session["current"] for session in listed] == [True]


def test_session_is_ended_by_its_id():
    old, tokens = sign_in(), sign_in()
    api = api_with(tokens["access_token"])
    [other] = [each for each in api.get("/api/v1/auth/sessions").json() if not each["current"]]

    answer = api.delete(f"/api/v1/auth/sessions/{other['id']}")

    assert answer.status_code == 204
    assert status_of_me(old["access_token"]) == 401
    assert api.delete(f"/api/v1/auth/sessions/{other['id']}/").status_code == 404


def test_strangers_session_is_not_there(alice_api, bob, bob_api):
    session = Session.objects.get(user=bob)

    answer = alice_api.delete(f"/api/v1/auth/sessions/{session.pk}")

    assert answer.status_code == 404
    assert bob_api.get("/api/v1/user/me").status_code == 200


@pytest.mark.parametrize(
    "method, path",
    [
        ("get", "auth/sessions"),
        ("delete", "auth/sessions/0190163d-8694-739b-aea5-966c26f8ad91"),
        ("post", "auth/logout"),
        ("post", "auth/logout-all"),
        ("post", "auth/change-password"),
        ("get", "user/me"),
        ("patch", "user/me"),
    ],
)
def test_anonymous_is_refused(method, path):
    answer = getattr(APIClient(), method)(f"/api/v1/{path}")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_wrong_method_is_told_the_right_one(alice_api):
    answer = alice_api.get("/api/v1/auth/logout")

    assert answer.status_code == 405
    assert "POST" in answer["Allow"]


def test_use_is_noted_once_an_hour(alice_api, django_assert_num_queries):
    let_pass(timedelta(hours=2))
    before = Session.objects.get().last_used_at

    with django_assert_num_queries(2):
        alice_api.get("/api/v1/user/me")
    with django_assert_num_queries(1):
        alice_api.get("/api/v1/user/me")

    assert Session.objects.get().last_used_at - before > timedelta(hours=1)


def test_long_user_agent_is_cut():
    verify(code_for(), HTTP_USER_AGENT="x" * 5000)

    assert len(Session.objects.get().user_agent) == 200

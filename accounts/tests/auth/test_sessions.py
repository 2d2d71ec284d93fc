"""The list of sessions, and ending one of them."""

import json
import secrets
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.auth.sessions import open_session
from accounts.models import AuditEvent, Session, User
from accounts.models.sessions import MOST_SESSIONS
from accounts.personal_data import prune
from gemchat.api.client_address import Client
from tests.support.accounts.sign_in import (
    api_with,
    code_for,
    let_pass,
    sign_in,
    status_of_me,
    verify,
)
from tests.support.marks import transactional
from tests.support.waiting import at_once

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

    # The read of the session, and the writes to session and user.
    with django_assert_num_queries(3):
        alice_api.get("/api/v1/user/me")
    with django_assert_num_queries(1):
        alice_api.get("/api/v1/user/me")

    assert Session.objects.get().last_used_at - before > timedelta(hours=1)


def test_long_user_agent_is_cut():
    verify(code_for(), HTTP_USER_AGENT="x" * 5000)

    assert len(Session.objects.get().user_agent) == 200


def make_sessions(user: User, count: int, **fields) -> list[Session]:
    now = timezone.now()
    times = {"created_at": now, "last_used_at": now, "authenticated_at": now}
    return Session.objects.bulk_create(
        Session(user=user, refresh_digest=secrets.token_bytes(32), **times, **fields)
        for _ in range(count)
    )


def ended(count: int, user: User) -> None:
    make_sessions(user, count, revoked_at=timezone.now(), revoked_reason=Session.Ending.REPLACED)


def test_sign_in_beyond_the_limit_ends_the_oldest_session():
    first, second = sign_in(), sign_in()
    make_sessions(User.objects.get(), MOST_SESSIONS - 2)

    tokens = sign_in()

    assert [status_of_me(each["access_token"]) for each in (first, second, tokens)] == [
        401,
        200,
        200,
    ]
    assert Session.objects.active().count() == MOST_SESSIONS
    [replaced] = Session.objects.exclude(revoked_at=None)
    assert replaced.revoked_reason == Session.Ending.REPLACED
    assert AuditEvent.objects.latest("id").details == {"method": "otp", "replaced": 1}


def test_sessions_of_others_do_not_count(alice, bob):
    make_sessions(bob, MOST_SESSIONS)
    make_sessions(alice, MOST_SESSIONS - 1)

    sign_in(alice.mobile)

    assert not Session.objects.exclude(revoked_at=None).exists()


@transactional
def test_parallel_sign_ins_leave_exactly_the_limit(alice):
    make_sessions(alice, MOST_SESSIONS)

    # A sign-in by code and one by password share no other lock.
    def sign_in_alice() -> Session:
        with transaction.atomic():
            method = Session.AuthMethod.OTP
            return open_session(user=alice, method=method, client=Client()).session

    opened = at_once(8, sign_in_alice)

    active = Session.objects.active().filter(user=alice)
    assert active.count() == MOST_SESSIONS
    assert active.filter(pk__in=[session.pk for session in opened]).count() == 8


def test_replaced_sessions_are_deleted_after_a_day(alice):
    make_sessions(alice, 2)
    ended(3, alice)
    Session.objects.exclude(revoked_at=None).update(
        revoked_at=timezone.now() - timedelta(days=1, minutes=1)
    )

    assert prune()["sessions"] == 3


def test_sessions_are_paged_newest_first(alice, alice_api):
    made = [str(session.pk) for session in make_sessions(alice, 4)]

    first = alice_api.get("/api/v1/auth/sessions?limit=2")
    link = first["Link"].removeprefix("<").partition(">")[0]
    second = alice_api.get(link)
    last = alice_api.get(second["Link"].removeprefix("<").partition(">")[0])

    pages = [[session["id"] for session in page.json()] for page in (first, second, last)]
    assert pages[:2] == [made[:1:-1], made[1::-1]]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert 'rel="next"' in first["Link"]
    assert "Link" not in last


def test_cursor_of_a_stranger_is_refused(alice, alice_api, bob_api):
    make_sessions(alice, 2)
    link = alice_api.get("/api/v1/auth/sessions?limit=1")["Link"]

    answer = bob_api.get(link.removeprefix("<").partition(">")[0])

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1"])
def test_odd_limit_of_sessions_is_refused(alice_api, query):
    assert alice_api.get(f"/api/v1/auth/sessions?{query}").status_code == 422


def test_list_reads_no_session_that_has_ended(alice, alice_api):
    """Ended sessions cost nothing: 30,000 sessions of one person made the list 11 MB."""
    ended(1_500, alice)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_session")
        active = Session.objects.active().filter(user=alice).order_by("-pk")[:51]
        sql, values = active.query.sql_with_params()
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values)
        [[found]] = cursor.fetchall()

    listed = alice_api.get("/api/v1/auth/sessions")

    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20
    assert len(listed.json()) == 1

"""Refresh tokens: each is good once, and a later copy ends the session."""

from datetime import timedelta

import pytest
from django.db import transaction

from accounts.models import AuditEvent, Session
from accounts.models.audit import AccountAction
from tests.support.accounts.sign_in import (
    let_pass,
    post,
    sign_in,
    status_of_me,
    statuses,
)
from tests.support.marks import transactional
from tests.support.waiting import in_background, wait_until_blocked

GRACE = timedelta(seconds=10)


def refresh(token, **options):
    return post("auth/refresh", {"refresh_token": token}, **options)


@transactional
def test_eight_refreshes_at_once_give_one_new_token_and_the_session_lives():
    tokens = sign_in()

    # All eight have found the session before the first of them may change it.
    with transaction.atomic():
        Session.objects.select_for_update().get()
        under_way = [in_background(lambda: refresh(tokens["refresh_token"])) for _ in range(8)]
        wait_until_blocked(8)
    answers = [each.result(20) for each in under_way]

    assert statuses(answers) == [200] + [409] * 7
    assert status_of_me(tokens["access_token"]) == 200
    [renewed] = [answer.json() for answer in answers if answer.status_code == 200]
    assert refresh(renewed["refresh_token"]).status_code == 200


@pytest.mark.django_db
def test_refresh_answers_like_a_sign_in():
    tokens = sign_in()

    answer = refresh(tokens["refresh_token"])

    assert answer.status_code == 200
    assert answer.json().keys() == tokens.keys()
    assert answer.json()["refresh_token"] != tokens["refresh_token"]
    assert answer.json()["user"] == tokens["user"]
    assert status_of_me(answer.json()["access_token"]) == 200


@pytest.mark.django_db
def test_old_token_within_the_grace_is_a_conflict_and_ends_nothing():
    tokens = sign_in()
    renewed = refresh(tokens["refresh_token"]).json()
    let_pass(GRACE - timedelta(seconds=1))

    again = refresh(tokens["refresh_token"])

    assert (again.status_code, again.json()["code"]) == (409, "refresh_in_progress")
    assert refresh(renewed["refresh_token"]).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_old_token_after_the_grace_ends_the_session(rotations):
    tokens = sign_in()
    latest = tokens
    for _ in range(rotations):
        latest = refresh(latest["refresh_token"]).json()
    let_pass(GRACE)

    reused = refresh(tokens["refresh_token"])

    assert (reused.status_code, reused.json()["code"]) == (401, "invalid_refresh_token")
    assert status_of_me(latest["access_token"]) == 401
    assert refresh(latest["refresh_token"]).status_code == 401
    assert Session.objects.get().revoked_reason == Session.Ending.REFRESH_REUSED
    assert AuditEvent.objects.filter(action=AccountAction.REFRESH_REUSED).count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["x", "A" * 86, "é" * 20, "=" * 8, " "])
def test_unknown_token_is_refused_and_ends_nothing(token):
    tokens = sign_in()

    assert refresh(token).status_code == 401
    assert status_of_me(tokens["access_token"]) == 200


@pytest.mark.django_db
@pytest.mark.parametrize("token", [None, 1, [], {}, "", "x" * 201, "x\0"])
def test_token_in_another_shape_is_refused(token):
    assert refresh(token).status_code == 422


@pytest.mark.django_db
def test_token_with_a_changed_letter_is_refused_and_ends_nothing():
    tokens = sign_in()
    token = tokens["refresh_token"]

    answer = refresh(token[:40] + ("A" if token[40] != "A" else "B") + token[41:])

    assert answer.status_code == 401
    assert status_of_me(tokens["access_token"]) == 200


@pytest.mark.django_db
def test_idle_session_ends_after_thirty_days():
    tokens = sign_in()
    let_pass(timedelta(days=29, hours=23))
    renewed = refresh(tokens["refresh_token"])
    let_pass(timedelta(days=30))

    assert renewed.status_code == 200
    assert refresh(renewed.json()["refresh_token"]).status_code == 401


@pytest.mark.django_db
def test_session_in_use_ends_after_ninety_days():
    token = sign_in()["refresh_token"]
    for _ in range(4):
        let_pass(timedelta(days=20))
        answer = refresh(token)
        token = answer.json()["refresh_token"]

    assert answer.json()["refresh_expires_in"] <= 10 * 86400
    let_pass(timedelta(days=10))
    assert refresh(token).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["logout", "disable"])
def test_ended_session_cannot_be_refreshed(end):
    tokens = sign_in()
    session = Session.objects.get()
    if end == "logout":
        session.end(Session.Ending.LOGOUT)
    else:
        session.user.is_active = False
        session.user.save(update_fields=["is_active"])

    assert refresh(tokens["refresh_token"]).status_code == 401

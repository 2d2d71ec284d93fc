"""A sign-in by code after half a year: the number may belong to another person."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from rest_framework.response import Response

from accounts.auth.absence import RELEASED_LIFETIME
from accounts.models import AuditEvent, Erasure, Session, User
from accounts.models.audit import AccountAction, mobile_digest
from tests.support.accounts.sign_in import (
    NUMBER,
    OTHER_NUMBER,
    PASSWORD,
    api_with,
    code_for,
    let_pass,
    post,
    sign_in,
    status_of_me,
    statuses,
    verify,
    wrong,
)
from tests.support.marks import transactional
from tests.support.waiting import at_once

ABSENCE = timedelta(days=181)


def decide(token: str, choice: str, **fields: str) -> Response:
    return post("auth/confirm-account", {"confirmation_token": token, "choice": choice, **fields})


def absent_account(*, password: str = "") -> User:
    """Make an account that nobody used for half a year."""
    tokens = sign_in()
    if password:
        changed = api_with(tokens["access_token"]).post(
            "/api/v1/auth/change-password", {"new_password": password}
        )
        assert changed.status_code == 200
    let_pass(ABSENCE)
    return User.objects.get()


def refused_token() -> str:
    """Sign in by code; return the token of the refusal."""
    answer = verify(code_for())
    assert (answer.status_code, answer.json()["code"]) == (403, "confirmation_required")
    return answer.json()["confirmation_token"]


def actions_of(user: User) -> list[str]:
    return list(
        AuditEvent.objects.filter(user_id=user.pk).order_by("pk").values_list("action", flat=True)
    )


@pytest.mark.django_db
def test_code_alone_opens_no_account_after_a_long_absence() -> None:
    user = absent_account()
    sessions = Session.objects.count()

    answer = verify(code_for())

    body = answer.json()
    assert (answer.status_code, body["code"]) == (403, "confirmation_required")
    assert (body["has_password"], body["expires_in"]) == (False, 600)
    assert Session.objects.count() == sessions
    assert actions_of(user)[-1] == AccountAction.CONFIRMATION_REQUIRED


@pytest.mark.django_db
@pytest.mark.parametrize("days", [0, 182])
def test_setting_turns_the_confirmation_off_or_puts_it_off(days: int, settings: settings) -> None:
    settings.ABSENCE_DAYS = days
    absent_account()

    assert verify(code_for()).status_code == 200


@pytest.mark.django_db
def test_use_of_a_session_is_no_absence_after_the_rows_of_sessions_are_gone() -> None:
    """Each way to use a session counts; pruning deletes sessions after 120 days."""
    tokens = sign_in()
    let_pass(timedelta(days=20))
    assert status_of_me(tokens["access_token"]) in (200, 401)
    seen = User.objects.get().last_seen_at
    refreshed = post("auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200
    assert User.objects.get().last_seen_at > seen
    let_pass(timedelta(days=170))
    Session.objects.all().delete()

    assert verify(code_for()).status_code == 200


@pytest.mark.django_db
def test_request_counts_as_use_of_the_account() -> None:
    access_token = sign_in()["access_token"]
    let_pass(timedelta(hours=2))
    before = User.objects.get().last_seen_at

    # The token is signed before the rows aged.
    assert status_of_me(access_token) == 200

    assert User.objects.get().last_seen_at > before


@pytest.mark.django_db
def test_person_confirms_an_account_without_a_password() -> None:
    user = absent_account()

    answer = decide(refused_token(), "mine")

    assert (answer.status_code, answer.json()["user"]["id"]) == (200, str(user.pk))
    assert status_of_me(answer.json()["access_token"]) == 200
    event = AuditEvent.objects.get(action=AccountAction.ACCOUNT_CONFIRMED)
    assert event.details == {"by": "declaration"}
    assert verify(code_for()).status_code == 200


@pytest.mark.django_db
def test_account_with_a_password_needs_the_password_too() -> None:
    user = absent_account(password=PASSWORD)
    token = refused_token()

    without, wrong_one = decide(token, "mine"), decide(token, "mine", password="not this one")
    right = decide(token, "mine", password=PASSWORD)

    assert (without.status_code, without.json()["code"]) == (403, "password_required")
    assert (wrong_one.status_code, wrong_one.json()["code"]) == (401, "invalid_credentials")
    assert (right.status_code, right.json()["user"]["id"]) == (200, str(user.pk))
    event = AuditEvent.objects.get(action=AccountAction.ACCOUNT_CONFIRMED)
    assert event.details == {"by": "password"}


@pytest.mark.django_db
def test_guesses_at_the_password_are_limited_as_at_login(settings: settings) -> None:
    settings.PASSWORD_FAILURES_PER_NUMBER = 3
    absent_account(password=PASSWORD)
    token = refused_token()

    guesses = [decide(token, "mine", password=f"guess {n} of many") for n in range(4)]

    assert statuses(guesses) == [401, 401, 401, 429]


@pytest.mark.django_db
def test_password_alone_still_signs_in() -> None:
    absent_account(password=PASSWORD)
    token = refused_token()

    answer = post("auth/login", {"mobile": NUMBER, "password": PASSWORD})

    assert answer.status_code == 200
    assert decide(token, "start_new").json()["code"] == "confirmation_invalid"


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["", PASSWORD])
def test_person_starts_with_an_empty_account_and_the_old_one_loses_the_number(
    password: str,
) -> None:
    old = absent_account(password=password)

    answer = decide(refused_token(), "start_new")

    new = User.objects.get(mobile=NUMBER)
    assert (answer.status_code, answer.json()["user"]["id"]) == (200, str(new.pk))
    assert (new.pk == old.pk, new.has_password) == (False, False)
    old.refresh_from_db()
    assert (old.is_active, old.mobile[0]) == (False, "!")
    assert old.erasure.early_seconds > RELEASED_LIFETIME.total_seconds() - 60
    event = AuditEvent.objects.get(action=AccountAction.NUMBER_RELEASED)
    assert (event.user_id, event.mobile_digest) == (old.pk, mobile_digest(NUMBER))
    assert post("auth/login", {"mobile": NUMBER, "password": PASSWORD}).status_code == 401


@pytest.mark.django_db
def test_signup_token_sets_no_password_before_the_decision() -> None:
    """A stranger's sign-up with a password must not take the old account over."""
    user = absent_account()
    sealed = post("auth/signup", {"mobile": NUMBER, "password": PASSWORD}).json()
    signup_token = sealed["data"]["signup_token"]

    answer = post(
        "auth/verify-otp", {"mobile": NUMBER, "otp": code_for(), "signup_token": signup_token}
    )
    user.refresh_from_db()
    had_password = user.has_password
    token = answer.json()["confirmation_token"]
    new = decide(token, "start_new", signup_token=signup_token)

    assert not had_password
    assert new.json()["user"]["has_password"]


@pytest.mark.django_db
def test_disabled_account_stays_disabled_and_keeps_its_number() -> None:
    user = absent_account()
    user.disable()

    assert verify(code_for()).json()["code"] == "account_disabled"


@pytest.mark.django_db
def test_wrong_code_reveals_no_absence() -> None:
    absent_account()

    assert verify(wrong(code_for())).json()["code"] == "otp_invalid"


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["", "x", "a:b:c"])
def test_forged_token_decides_nothing(token: str) -> None:
    absent_account()

    assert decide(token or "-", "start_new").json()["code"] == "confirmation_invalid"


@pytest.mark.django_db
def test_old_token_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    absent_account()
    token = refused_token()
    monkeypatch.setattr("accounts.auth.absence.TOKEN_LIFETIME", timedelta(seconds=-1))

    assert decide(token, "mine").json()["code"] == "confirmation_invalid"


@transactional
@pytest.mark.parametrize(
    "choices", [["mine", "mine"], ["start_new", "start_new"], ["mine", "start_new"]]
)
def test_one_of_two_decisions_at_once_wins(choices: list[str]) -> None:
    old = absent_account()
    token, left = refused_token(), list(choices)

    answers = at_once(2, lambda: decide(token, left.pop()))

    assert statuses(answers) == [200, 400]
    [won] = [answer.json()["user"] for answer in answers if answer.status_code == 200]
    assert User.objects.get(mobile=NUMBER).pk == User.objects.get(pk=won["id"]).pk
    assert User.objects.filter(is_active=True).count() == 1
    assert Erasure.objects.filter(user=old).exists() == (won["id"] != str(old.pk))


@transactional
def test_sign_in_by_code_beside_a_new_start_opens_no_session_of_the_old_account() -> None:
    old = absent_account()
    token, otp = refused_token(), code_for()
    calls = [lambda: decide(token, "start_new"), lambda: verify(otp)]

    answers = at_once(2, lambda: calls.pop()())

    assert statuses(answers) in ([200, 200], [200, 403])
    assert not Session.objects.active().filter(user=old).exists()


@pytest.mark.django_db
def test_support_gives_a_released_account_back_under_another_number() -> None:
    old = absent_account()
    decide(refused_token(), "start_new")

    call_command("user_restore", "--id", str(old.pk), "--mobile", OTHER_NUMBER)

    answer = verify(code_for(OTHER_NUMBER), OTHER_NUMBER)
    assert answer.json()["user"]["id"] == str(old.pk)
    assert not Erasure.objects.exists()
    assert AccountAction.ACCOUNT_RESTORED in actions_of(old)


@pytest.mark.django_db
def test_account_is_not_restored_to_a_taken_number_or_after_its_date() -> None:
    old = absent_account()
    decide(refused_token(), "start_new")

    with pytest.raises(CommandError, match="number"):
        call_command("user_restore", "--id", str(old.pk), "--mobile", NUMBER)
    Erasure.objects.update(not_before=old.created_at)
    with pytest.raises(CommandError):
        call_command("user_restore", "--id", str(old.pk), "--mobile", OTHER_NUMBER)

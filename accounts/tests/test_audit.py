"""The audit: what is written into it, and that nothing is taken out."""

import pytest
from django.db import IntegrityError, InternalError, connection, transaction

from accounts.models import AuditEvent, User
from accounts.models.audit import mobile_digest
from accounts.tests.phones import NUMBER, PASSWORD, api_with, code_for, post, verify

pytestmark = pytest.mark.django_db
Action = AuditEvent.Action


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_auditevent SET action = 'x'",
        "DELETE FROM accounts_auditevent",
        "UPDATE accounts_auditevent SET details = '{}' WHERE false",
    ],
)
def test_database_refuses_to_change_events(statement):
    AuditEvent.objects.record(Action.SIGNED_IN)

    with (
        pytest.raises((IntegrityError, InternalError), match="takes new rows only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert actions() == [Action.SIGNED_IN]


def test_sign_in_is_recorded_with_request_and_address():
    answer = verify(code_for(), ip="203.0.113.5", HTTP_X_REQUEST_ID="from-the-caller")

    event = AuditEvent.objects.get()
    assert (event.action, str(event.user_id)) == (Action.SIGNED_IN, answer.json()["user"]["id"])
    assert (event.ip, event.request_id) == ("203.0.113.5", "from-the-caller")
    assert event.details == {"method": "otp"}


def test_failure_that_reaches_a_limit_is_recorded_once(alice):
    for _ in range(25):
        post("auth/login", {"mobile": alice.mobile, "password": "wrong one"})

    event = AuditEvent.objects.get()
    assert event.action == Action.LIMIT_REACHED
    assert event.mobile_digest == mobile_digest(alice.mobile)
    assert event.details == {"limit": "failures"}


def test_password_change_and_endings_are_recorded():
    api = api_with(verify(code_for()).json()["access_token"])

    api.post("/api/v1/auth/change-password", {"new_password": PASSWORD})
    api.post("/api/v1/auth/logout-all")

    assert actions() == [Action.SIGNED_IN, Action.PASSWORD_CHANGED, Action.SESSIONS_ENDED]


def test_events_name_nobody_and_outlive_the_user():
    verify(code_for())
    event = AuditEvent.objects.get()

    User.objects.get().delete()

    assert AuditEvent.objects.get() == event
    assert NUMBER not in str(AuditEvent.objects.values().get())

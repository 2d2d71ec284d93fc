"""The audit: what is written into it, and that nothing is taken out."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.utils import timezone

from accounts.checks import check_account_settings
from accounts.models import AuditEvent, User
from accounts.models.audit import mobile_digest
from accounts.pruning import prune_accounts
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
        "DELETE FROM accounts_auditevent WHERE action = 'signed_in'",
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


def old_event(days: int) -> AuditEvent:
    event = AuditEvent(action=Action.SIGNED_IN, created_at=timezone.now() - timedelta(days=days))
    # `bulk_create` would set the time of now.
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_auditevent"
            " (id, action, mobile_digest, target, actor, request_id, details, created_at)"
            " VALUES (%s, %s, '', '', '', '-', '{}', %s)",
            [event.pk, event.action, event.created_at],
        )
    return event


def test_events_are_kept_for_ever_by_default():
    old_event(days=4_000)

    assert prune_accounts()["audit_events"] == 0


def test_events_are_pruned_when_they_are_old_enough(settings):
    settings.AUDIT_RETENTION_DAYS = 180
    kept = old_event(days=179)
    old_event(days=180)

    assert prune_accounts(dry_run=True)["audit_events"] == 1
    assert prune_accounts()["audit_events"] == 1
    assert AuditEvent.objects.get() == kept


@pytest.mark.parametrize(("days", "ids"), [(0, []), (180, []), (179, ["accounts.E001"])])
def test_retention_shorter_than_the_database_keeps_is_refused(settings, days, ids):
    settings.AUDIT_RETENTION_DAYS = days

    found = [error.id for error in check_account_settings()]

    assert found == ids


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
    assert event.details == {"limit": "wrong passwords"}


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

"""The audit: what is written into it, and that nothing is taken out."""

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.checks import check_account_settings
from accounts.models import AuditAddress, AuditEvent, User
from accounts.models.audit import AccountAction, mobile_digest
from accounts.personal_data import erase, prune
from gemchat.api.client_address import Client
from tests.support.accounts.sign_in import NUMBER, PASSWORD, api_with, code_for, post, verify

pytestmark = pytest.mark.django_db


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
    AuditEvent.objects.record(AccountAction.SIGNED_IN)

    with (
        pytest.raises((IntegrityError, InternalError), match="takes new rows only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert actions() == [AccountAction.SIGNED_IN]


def old_event(days: int) -> AuditEvent:
    event = AuditEvent(
        action=AccountAction.SIGNED_IN, created_at=timezone.now() - timedelta(days=days)
    )
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

    assert prune()["audit_events"] == 0


def test_events_are_pruned_when_they_are_old_enough(settings):
    settings.AUDIT_RETENTION_DAYS = 180
    kept = old_event(days=179)
    old_event(days=180)

    assert prune(dry_run=True)["audit_events"] == 1
    assert prune()["audit_events"] == 1
    assert AuditEvent.objects.get() == kept


@pytest.mark.parametrize(("days", "ids"), [(0, []), (180, []), (179, ["accounts.E001"])])
def test_retention_shorter_than_the_database_keeps_is_refused(settings, days, ids):
    settings.AUDIT_RETENTION_DAYS = days

    found = [error.id for error in check_account_settings()]

    assert found == ids


def test_sign_in_is_recorded_with_request_and_address():
    answer = verify(code_for(), ip="203.0.113.5", HTTP_X_REQUEST_ID="from-the-caller")

    event = AuditEvent.objects.get()
    assert (event.action, str(event.user_id)) == (
        AccountAction.SIGNED_IN,
        answer.json()["user"]["id"],
    )
    assert event.address.ip == "203.0.113.5"
    assert event.details == {"method": "otp"}


def test_caller_does_not_choose_the_id_of_its_events():
    headers = {"HTTP_X_REQUEST_ID": "from-the-caller"}
    code = code_for()

    answers = [verify(code, **headers), verify("000000", **headers)]

    event = AuditEvent.objects.get()
    assert [answer["X-Request-ID"] for answer in answers] == ["from-the-caller"] * 2
    assert answers[1].json()["request_id"] == "from-the-caller"
    assert uuid.UUID(event.request_id).version == 7


def test_caller_without_an_id_is_given_that_of_the_events():
    answer = verify(code_for())

    assert answer["X-Request-ID"] == AuditEvent.objects.get().request_id


def test_failure_that_reaches_a_limit_is_recorded_once(alice, settings):
    settings.PASSWORD_FAILURES_PER_NUMBER = 2
    for _ in range(4):
        post("auth/login", {"mobile": alice.mobile, "password": "wrong one"})

    event = AuditEvent.objects.get()
    assert event.action == AccountAction.LIMIT_REACHED
    assert event.mobile_digest == mobile_digest(alice.mobile)
    assert event.details == {"limit": "wrong passwords"}


def test_password_change_and_endings_are_recorded():
    api = api_with(verify(code_for()).json()["access_token"])

    api.post("/api/v1/auth/change-password", {"new_password": PASSWORD})
    api.post("/api/v1/auth/logout-all")

    assert actions() == [
        AccountAction.SIGNED_IN,
        AccountAction.PASSWORD_CHANGED,
        AccountAction.SESSIONS_ENDED,
    ]


def test_events_name_nobody_and_outlive_the_user():
    verify(code_for())
    event = AuditEvent.objects.get()

    User.objects.get().delete()

    assert AuditEvent.objects.get() == event
    assert NUMBER not in str(AuditEvent.objects.values().get())


def test_password_by_signup_token_is_recorded():
    signup = post("auth/signup", {"mobile": NUMBER, "password": PASSWORD})
    token = signup.json()["data"]["signup_token"]

    post("auth/verify-otp", {"mobile": NUMBER, "otp": code_for(), "signup_token": token})

    assert actions() == [AccountAction.PASSWORD_CHANGED, AccountAction.SIGNED_IN]
    assert AuditEvent.objects.earliest("id").details == {"by": "signup_token"}


def test_addresses_are_erased_with_the_person(alice, bob, staff):
    client = Client(ip="203.0.113.5")
    record = AuditEvent.objects.record
    record(AccountAction.SIGNED_IN, user_id=alice.pk, client=client)
    record(AccountAction.LIMIT_REACHED, mobile=alice.mobile, client=client)
    others = [
        record(AccountAction.SIGNED_IN, user_id=bob.pk, client=client),
        # What staff did to the person comes from the address of staff.
        record(AccountAction.USER_DISABLED, user_id=alice.pk, client=client, actor=str(staff.pk)),
    ]

    erase(alice)

    assert [address.event for address in AuditAddress.objects.order_by("pk")] == others
    assert AuditEvent.objects.count() == 5


def test_addresses_are_pruned_after_ninety_days_and_events_stay(alice):
    for _ in range(2):
        AuditEvent.objects.record(
            AccountAction.SIGNED_IN, user_id=alice.pk, client=Client(ip="203.0.113.5")
        )
    old = AuditAddress.objects.earliest("pk")
    AuditAddress.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=90))

    assert prune()["audit_addresses"] == 1
    assert AuditAddress.objects.count() == 1
    assert AuditEvent.objects.count() == 2


def test_event_without_its_address_is_not_written(alice):
    with pytest.raises(ValueError, match="no address"), transaction.atomic():
        AuditEvent.objects.record(
            AccountAction.SIGNED_IN, user_id=alice.pk, client=Client(ip="no address")
        )

    assert not AuditEvent.objects.exists()


def test_addresses_of_the_list_and_the_file_cost_no_query_each(staff_client, alice):
    for number in range(5):
        AuditEvent.objects.record(
            AccountAction.SIGNED_IN, user_id=alice.pk, client=Client(ip=f"203.0.113.{number}")
        )
    url = "/admin/accounts/auditevent/"

    with CaptureQueriesContext(connection) as queries:
        answer = staff_client.post(f"{url}export/", {"reason": "a report of abuse"})
        file = b"".join(answer.streaming_content).decode()

    # The one query that reads the list goes through a server's cursor, which is not captured.
    asked = [query["sql"] for query in queries if "accounts_auditaddress" in query["sql"]]
    assert not [sql for sql in asked if sql.startswith("SELECT")]
    assert all(f"203.0.113.{number}" in file for number in range(5))
    event = AuditEvent.objects.filter(user_id=alice.pk).earliest("id")
    assert "203.0.113.0" in staff_client.get(f"{url}{event.pk}/change/").content.decode()

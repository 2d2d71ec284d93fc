"""The commands: what each does, in lines and in JSON, and how each fails."""

import io
import json
import sys
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session as BrowserSession
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import (
    AuditEvent,
    IdempotencyRecord,
    LimitHit,
    OneTimeCode,
    Session,
    User,
)
from accounts.models.audit import AccountAction
from tests.support.accounts.sign_in import (
    NUMBER,
    PASSWORD,
    code_for,
    let_pass,
    post,
    sign_in,
    status_of_me,
    verify,
    wrong,
)

pytestmark = pytest.mark.django_db

USER_COMMANDS = [
    *["user_show", "user_disable", "user_enable", "user_revoke_sessions", "user_set_password"],
    *["user_export", "user_delete", "admin_totp"],
]
DESTRUCTIVE_COMMANDS = [
    *["prune", "purge_expired", "otp_clear", "user_set_password", "user_delete"],
]
COMMANDS = [*USER_COMMANDS, "otp_send", "otp_status", "otp_clear", "prune", "sync_roles"]


def run(name, *arguments):
    """What a command reports with --json."""
    out = io.StringIO()
    call_command(name, *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def actions():
    return list(AuditEvent.objects.order_by("id").values_list("action", "actor"))


@pytest.fixture
def typed(monkeypatch):
    """Types a line into standard input."""
    return lambda line: monkeypatch.setattr(sys, "stdin", io.StringIO(line + "\n"))


@pytest.mark.parametrize("name", COMMANDS)
def test_command_says_what_it_does(name):
    assert len(load_command_class(get_commands()[name], name).help) > 20


@pytest.mark.parametrize("name", USER_COMMANDS)
def test_unknown_user_is_a_failure_in_a_sentence(name):
    with pytest.raises(CommandError, match=r"There is no user with the number \+919812345678\."):
        run(name, "--mobile", "9812345678")


def test_pasted_number_is_taken_by_every_kind_of_command(alice, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda **options: PASSWORD)
    pasted = "\u202a+91\u00a098000\u201300001\u202c"

    report = run("user_show", "--mobile", pasted)
    call_command("changepassword", pasted, stdout=io.StringIO())
    call_command("createsuperuser", "--noinput", mobile="98123\u00a045678", stdout=io.StringIO())

    assert report["mobile"] == alice.mobile
    alice.refresh_from_db()
    assert alice.has_password
    assert User.objects.get(mobile=NUMBER).is_superuser


@pytest.mark.parametrize("name", [*USER_COMMANDS, "otp_send", "otp_status", "otp_clear"])
def test_text_that_is_no_number_is_a_failure_in_a_sentence(name):
    with pytest.raises(CommandError, match="Give a mobile number"):
        run(name, "--mobile", "x")


def test_report_is_lines_without_json(alice):
    out = io.StringIO()

    call_command("user_show", "--mobile", alice.mobile, stdout=out)

    assert f"mobile: {alice.mobile}\n" in out.getvalue()
    assert "name: Alice\n" in out.getvalue()


def test_otp_send_makes_a_code_and_does_not_show_it():
    report = run("otp_send", "--mobile", NUMBER)

    code = OneTimeCode.objects.get()
    assert report["resend_after_seconds"] == 30
    assert code.digits not in json.dumps(report)
    assert verify(code.digits).status_code == 200
    assert (AccountAction.CODE_SENT, "command") in actions()


def test_otp_send_keeps_to_the_limits():
    run("otp_send", "--mobile", NUMBER)

    with pytest.raises(CommandError, match=r"possible in (29|30) seconds"):
        run("otp_send", "--mobile", NUMBER)


def test_otp_status_shows_tries_and_delivery_and_never_the_code():
    otp = code_for()
    verify(wrong(otp))

    report = run("otp_status", "--mobile", NUMBER)

    assert report["code"]["attempts_left"] == 4
    assert report["code"]["delivery_status"] == "queued"
    assert (report["sends_in_24_hours"], report["failures_in_24_hours"]) == (1, 1)
    assert otp not in json.dumps(report)


def test_otp_status_of_a_number_without_a_code():
    assert run("otp_status", "--mobile", NUMBER)["code"] is None


def test_otp_clear_ends_the_code_and_lifts_the_limits():
    otp = code_for()

    report = run("otp_clear", "--mobile", NUMBER, "--yes")

    assert report == {"mobile": NUMBER, "codes_ended": 1, "limit_hits_forgotten": 1}
    assert verify(otp).status_code == 400
    assert post("auth/send-otp", {"mobile": NUMBER}).status_code == 200


def test_user_show_tells_sessions(alice, alice_api):
    report = run("user_show", "--mobile", alice.mobile)

    assert (report["id"], report["live_sessions"]) == (str(alice.pk), 1)
    assert alice.password not in json.dumps(report)


def test_user_disable_and_enable(alice, alice_api):
    assert run("user_disable", "--mobile", alice.mobile)["is_active"] is False
    assert alice_api.get("/api/v1/user/me").status_code == 401
    assert verify(code_for(alice.mobile), alice.mobile).status_code == 403

    assert run("user_enable", "--mobile", alice.mobile)["is_active"] is True
    let_pass(timedelta(minutes=1))
    assert verify(code_for(alice.mobile), alice.mobile).status_code == 200
    assert ("user_enabled", "command") in actions()


def test_user_revoke_sessions(alice, alice_api):
    assert run("user_revoke_sessions", "--mobile", alice.mobile)["sessions_ended"] == 1
    assert alice_api.get("/api/v1/user/me").status_code == 401
    assert run("user_revoke_sessions", "--mobile", alice.mobile)["sessions_ended"] == 0


def test_user_set_password(alice, alice_api, typed):
    typed(PASSWORD)

    run("user_set_password", "--mobile", alice.mobile, "--yes")

    assert alice_api.get("/api/v1/user/me").status_code == 401
    login = post("auth/login", {"mobile": alice.mobile, "password": PASSWORD})
    assert login.status_code == 200


@pytest.mark.parametrize("password", ["short", "password123", "x" * 129, ""])
def test_user_set_password_refuses_weak_ones(alice, typed, password):
    typed(password)

    with pytest.raises(CommandError, match="password"):
        run("user_set_password", "--mobile", alice.mobile, "--yes")

    alice.refresh_from_db()
    assert not alice.has_password


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run_destructive(name, *arguments):
    of_number = [] if name in ("prune", "purge_expired") else ["--mobile", NUMBER]
    return run(name, *of_number, *arguments)


def counts():
    models = (User, Session, OneTimeCode, LimitHit, BrowserSession, AuditEvent)
    return [model.objects.count() for model in models]


@pytest.mark.parametrize("name", DESTRUCTIVE_COMMANDS)
def test_destructive_command_needs_yes_and_names_its_effect(name, old_and_new, typed):
    before = counts()
    typed(PASSWORD)

    with pytest.raises(CommandError, match=r"^This .*\+?\d.* Add --yes to confirm\.$"):
        run_destructive(name)

    assert counts() == before
    assert not User.objects.get(mobile=NUMBER).has_password


@pytest.mark.parametrize("name", DESTRUCTIVE_COMMANDS)
def test_destructive_command_asks_at_a_terminal(name, old_and_new, monkeypatch, capsys):
    before = counts()
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))

    with pytest.raises(CommandError, match=r"^Nothing was done\.$"):
        run_destructive(name)

    assert counts() == before
    assert "Continue? [y/N]" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["prune", "purge_expired", "otp_clear", "user_delete"])
def test_destructive_command_goes_on_after_yes_at_a_terminal(name, old_and_new, monkeypatch):
    before = counts()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))

    run_destructive(name)

    assert counts() != before


def test_user_delete_leaves_nothing_but_the_audit():
    tokens = sign_in()

    report = run("user_delete", "--mobile", NUMBER, "--yes")

    assert report == {"mobile": NUMBER, "id": tokens["user"]["id"], "deleted": True}
    for model in (User, Session, OneTimeCode):
        assert not model.objects.exists()
    assert not LimitHit.objects.filter(subject=NUMBER).exists()
    assert status_of_me(tokens["access_token"]) == 401
    assert actions()[-1] == ("user_deleted", "command")


@pytest.fixture
def old_and_new(alice):
    """Rows that are past their time, and others that are not."""
    sign_in()
    let_pass(timedelta(days=130))
    sign_in()
    now = OneTimeCode.objects.latest("created_at").created_at
    for expire_date in (now - timedelta(days=1), now + timedelta(days=1)):
        BrowserSession.objects.create(session_key=str(expire_date)[:40], expire_date=expire_date)
    for age in (timedelta(hours=25), timedelta(hours=23)):
        IdempotencyRecord.objects.create(
            user=alice, key=str(age), request_digest=b"x", status=200, created_at=now - age
        )


def test_superuser_made_by_command_is_audited(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

    call_command("createsuperuser", "--noinput", mobile=NUMBER, stdout=io.StringIO())

    event = AuditEvent.objects.get()
    assert (event.action, event.actor) == ("superuser_created", "command")
    assert event.user_id == User.objects.get(mobile=NUMBER, is_superuser=True).pk


def test_password_changed_by_djangos_command_is_audited_and_ends_sessions(monkeypatch):
    access = sign_in()["access_token"]
    monkeypatch.setattr("getpass.getpass", lambda **options: PASSWORD)

    call_command("changepassword", NUMBER, stdout=io.StringIO())

    assert actions()[-1] == ("password_changed", "command")
    assert status_of_me(access) == 401
    assert post("auth/login", {"mobile": NUMBER, "password": PASSWORD}).status_code == 200


def test_roles_and_grants_by_command_are_audited(alice):
    run("sync_roles")
    run("grant_pro", "--mobile", alice.mobile, "--days", "3", "--reason", "goodwill")
    run("quota_reset", "--mobile", alice.mobile)

    assert actions() == [
        ("roles_synced", "command"),
        ("grant_given", "command"),
        ("quota_reset", "command"),
    ]


def test_prune_deletes_what_is_past_its_time(old_and_new):
    report = run("prune", "--yes")

    assert report == {
        "dry_run": False,
        "codes": 1,
        "sessions": 1,
        "idempotency_records": 1,
        "limit_hits": 3,
        "audit_addresses": 0,
        "audit_events": 0,
        "browser_sessions": 1,
    }
    kept = (OneTimeCode, Session, IdempotencyRecord, BrowserSession)
    assert [model.objects.count() for model in kept] == [1, 1, 1, 1]


def test_prune_with_dry_run_deletes_nothing(old_and_new):
    report = run("prune", "--dry-run")

    assert (report["dry_run"], report["codes"], report["sessions"]) == (True, 1, 1)
    assert OneTimeCode.objects.count() == 2
    assert Session.objects.count() == 2


def test_prune_keeps_a_session_that_was_ended_lately():
    sign_in()
    Session.objects.get().end(Session.Ending.LOGOUT)
    let_pass(timedelta(days=29))

    assert run("prune", "--yes")["sessions"] == 0


def test_sync_roles_makes_the_groups_and_takes_strays_away():
    run("sync_roles")
    support = Group.objects.get(name="Support")
    codenames = set(support.permissions.values_list("codename", flat=True))
    support.permissions.clear()

    report = run("sync_roles")

    assert set(report) == {"Support", "Billing", "Ops", "Read-only"}
    assert set(support.permissions.values_list("codename", flat=True)) == codenames
    assert {"view_user", "disable_user", "view_content"} <= codenames
    read_only = Group.objects.get(name="Read-only").permissions
    assert not read_only.exclude(codename__startswith="view_").exists()
    assert not read_only.filter(codename="view_content").exists()


def test_admin_totp_sets_up_a_second_factor_once(staff):
    report = run("admin_totp", "--mobile", staff.mobile)

    device = TOTPDevice.objects.get()
    assert report["uri"].startswith("otpauth://totp/GemChatRoom")
    assert report["secret"] in report["uri"]
    with pytest.raises(CommandError, match="--yes"):
        run("admin_totp", "--mobile", staff.mobile)
    run("admin_totp", "--mobile", staff.mobile, "--yes")
    assert TOTPDevice.objects.get().key != device.key


def test_admin_totp_is_for_staff(alice):
    with pytest.raises(CommandError, match="not a member of staff"):
        run("admin_totp", "--mobile", alice.mobile)

"""What staff see of users and do to them."""

import csv
import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.auth.sign_in import send_code
from accounts.models import AuditEvent, Erasure, LimitHit, OneTimeCode, Session, User
from accounts.models.audit import AccountAction
from accounts.sms import MemoryBackend
from backoffice.models import BackofficeAction
from billing.entitlement import grant_pro, mark_disagreements, refresh_tiers
from billing.models import BillingAction, DailyQuota, Grant
from gemchat.stores.redis import client
from privacy.models import PrivacyAction
from tests.support.backoffice.staff_client import act, events, flash_messages, mobiles, url
from tests.support.plugins.cast import api_for


@pytest.mark.parametrize(
    "term",
    ["+919800000001", "9800000001", "09800000001", "+91 98000 00001", "919800000001"]
    + ["tel:+91\u00a098000\u201300001", "\u202a+91980000000\u202c1"],
)
def test_user_is_found_by_a_number_in_any_way_of_writing(staff_client, alice, bob, term):
    assert mobiles(staff_client.get(url(User), {"q": term})) == {alice.mobile}


@pytest.mark.parametrize("term", ["+9198000", "98000", "098000", "9198000", "\u202a+91\u00a098000"])
def test_users_are_found_by_the_beginning_of_their_number(staff_client, alice, bob, term):
    User.objects.create_user("+447700900123")

    found = mobiles(staff_client.get(url(User), {"q": term}))

    assert {alice.mobile, bob.mobile} <= found
    assert "+447700900123" not in found


@pytest.mark.parametrize("term", ["Alice", "+9", "%", "' OR 1=1", "x" * 5000])
def test_search_for_what_is_no_number_finds_nobody(staff_client, alice, term):
    assert mobiles(staff_client.get(url(User), {"q": term})) <= set()


def test_user_is_found_by_id_and_by_customer(staff_client, alice, bob):
    User.objects.filter(pk=bob.pk).update(stripe_customer_id="cus_1")

    assert mobiles(staff_client.get(url(User), {"q": str(alice.pk)})) == {alice.mobile}
    assert mobiles(staff_client.get(url(User), {"q": "cus_1"})) == {bob.mobile}


def test_users_are_filtered_by_tier_and_state(staff_client, alice, bob, carol, staff):
    bob.disable()

    assert mobiles(staff_client.get(url(User), {"tier": "pro"})) == {carol.mobile}
    assert mobiles(staff_client.get(url(User), {"state": "disabled"})) == {bob.mobile}
    assert mobiles(staff_client.get(url(User), {"state": "staff"})) == {staff.mobile}


def test_tier_that_disagrees_with_stripe_is_found(staff_client, alice, bob, carol):
    grant_pro(user=bob, until=timezone.now() + timedelta(days=1), reason="x", by=None)
    grant = Grant.objects.create(
        user=alice, until=timezone.now() + timedelta(days=1), reason="not derived yet"
    )
    mark_disagreements()

    page = staff_client.get(url(User), {"stripe": "disagrees"})

    assert mobiles(page) == {alice.mobile, carol.mobile}, grant


def test_tier_that_is_put_right_is_not_found_any_more(staff_client, bob, carol):
    mark_disagreements()
    refresh_tiers([carol.pk])
    put_right = staff_client.get(url(User), {"stripe": "disagrees"})
    User.objects.filter(pk=bob.pk).update(tier="pro")
    mark_disagreements()

    assert mobiles(put_right) == set()
    assert mobiles(staff_client.get(url(User), {"stripe": "disagrees"})) == {bob.mobile}
    assert not User.objects.get(pk=carol.pk).tier_disagrees


def test_user_page_shows_what_is_known(staff_client, alice, alice_api):
    DailyQuota.objects.reserve(user=alice)

    page = staff_client.get(url(User, "change", alice.pk)).content.decode()

    assert "1 of 5 replies" in page
    assert "otp" in page
    assert "Grant Pro" in page


@pytest.mark.parametrize(
    "action", ["disable", "enable", "end_sessions", "clear_lockouts", "reset_quota", "erase"]
)
def test_action_asks_before_it_does_anything(staff_client, alice, alice_api, action):
    before = AuditEvent.objects.count()

    page = act(staff_client, action, alice, reason="")

    assert "Reason" in page.content.decode()
    assert AuditEvent.objects.count() == before
    assert alice_api.get("/api/v1/user/me").status_code == 200


def test_action_without_a_reason_is_not_done(staff_client, alice):
    page = act(staff_client, "disable", alice, reason=" ")

    assert "This field is required" in page.content.decode()
    assert User.objects.get(pk=alice.pk).is_active


def test_disabled_user_is_shut_out_at_once(staff_client, staff, alice, alice_api):
    act(staff_client, "disable", alice, reason="spam")

    assert alice_api.get("/api/v1/user/me").status_code == 401
    assert Session.objects.get().revoked_reason == Session.Ending.DISABLED
    [event] = events(AccountAction.USER_DISABLED)
    assert (event.user_id, event.actor) == (alice.pk, str(staff.pk))
    assert event.details["reason"] == "spam"


def test_enabled_user_may_come_in_again(staff_client, alice):
    alice.disable()

    act(staff_client, "enable", alice)

    assert api_for(alice).get("/api/v1/user/me").status_code == 200
    assert len(events(AccountAction.USER_ENABLED)) == 1


def test_sessions_are_ended(staff_client, alice, alice_api):
    page = act(staff_client, "end_sessions", alice)

    assert alice_api.get("/api/v1/user/me").status_code == 401
    assert "Sessions ended: 1." in flash_messages(page)
    assert len(events(AccountAction.SESSIONS_ENDED)) == 1


@pytest.mark.django_db(transaction=True)
def test_code_is_sent_and_shown_to_nobody(staff_client, alice, settings):
    settings.SMS_BACKEND = "accounts.sms.MemoryBackend"
    settings.OTP_ECHO = True

    page = act(staff_client, "send_code", alice)

    code = OneTimeCode.objects.get()
    assert code.mobile == alice.mobile
    assert code.digits not in page.content.decode()
    assert code.digits not in json.dumps(events(AccountAction.CODE_SENT)[0].details)
    MemoryBackend.outbox.clear()


def test_code_is_sent_under_the_limits_that_hold_for_everybody(staff_client, alice):
    send_code(mobile=alice.mobile, client=None)

    page = act(staff_client, "send_code", alice)

    assert "Too many tries" in flash_messages(page)
    assert OneTimeCode.objects.count() == 1
    assert events(AccountAction.CODE_SENT) == []


def test_lockouts_are_cleared(staff_client, alice):
    LimitHit.objects.create(
        kind="password_failure", subject=alice.mobile, created_at=timezone.now()
    )

    act(staff_client, "clear_lockouts", alice)

    assert not LimitHit.objects.exists()
    assert len(events(AccountAction.CODE_CLEARED)) == 1


def test_pro_is_granted_up_to_a_day(staff_client, staff, alice):
    until = timezone.now().date() + timedelta(days=3)

    act(staff_client, "grant_pro", alice, reason="goodwill", until=until.isoformat())

    grant = Grant.objects.get()
    assert (grant.granted_by, grant.reason, grant.until.date()) == (staff, "goodwill", until)
    assert User.objects.get(pk=alice.pk).tier == "pro"
    assert events(BillingAction.GRANT_GIVEN)[0].details["reason"] == "goodwill"


@pytest.mark.parametrize("until", ["", "2020-01-01", "tomorrow"])
def test_pro_is_not_granted_up_to_what_is_no_day_to_come(staff_client, alice, until):
    page = act(staff_client, "grant_pro", alice, until=until)

    assert page.status_code == 200
    assert not Grant.objects.exists()
    assert events(BillingAction.GRANT_GIVEN) == []


def test_quota_is_reset(staff_client, alice):
    DailyQuota.objects.reserve(user=alice)

    act(staff_client, "reset_quota", alice)

    assert DailyQuota.objects.usage(user=alice).used == 0
    assert len(events(BillingAction.QUOTA_RESET)) == 1


def test_export_is_a_file_of_all_that_is_kept(staff_client, alice):
    answer = act(staff_client, "export", alice)

    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        texts = [archive.read(name).decode() for name in archive.namelist()]
    assert any(alice.mobile in text for text in texts)
    assert answer["Content-Disposition"].startswith("attachment")
    assert len(events(PrivacyAction.USER_EXPORTED)) == 1


def test_erasure_has_to_be_confirmed_twice_and_closes_the_account(
    staff_client, staff, alice, alice_api, django_capture_on_commit_callbacks
):
    act(staff_client, "erase", alice)
    assert alice_api.get("/api/v1/user/me").status_code == 200

    with django_capture_on_commit_callbacks(execute=True):
        act(staff_client, "erase", alice, understood="on")

    assert alice_api.get("/api/v1/user/me").status_code == 401
    assert Erasure.objects.get().user == alice
    assert client().llen("default") == 1
    assert [event.details["reason"] for event in events(PrivacyAction.ERASURE_ORDERED)] == [
        "asked to"
    ]
    assert [event.actor for event in events(AccountAction.ACCOUNT_CLOSED)] == [str(staff.pk)]


def test_user_who_is_being_erased_is_not_enabled(staff_client, alice):
    act(staff_client, "erase", alice, understood="on")

    page = act(staff_client, "enable", alice)

    assert "being erased" in flash_messages(page)
    assert not User.objects.get(pk=alice.pk).is_active
    assert events(AccountAction.USER_ENABLED) == []


def test_subscription_actions_say_when_there_is_nothing_to_do_them_to(staff_client, alice):
    page = act(staff_client, "cancel_subscription", alice)

    assert "sells no subscriptions" in flash_messages(page)
    assert [
        event.details.get("refused") for event in events(BillingAction.CANCELLATION_ORDERED)
    ] == [
        None,
        "billing_not_configured",
    ]


@pytest.mark.parametrize("action", ["disable", "end_sessions", "erase", "send_code"])
def test_other_staff_are_for_superusers_alone(staff_client_for, staff, action):
    page = act(staff_client_for("Support"), action, staff, understood="on")

    assert "You may not do this to any" in flash_messages(page)
    assert User.objects.get(pk=staff.pk).is_active
    assert not AuditEvent.objects.exists()


def test_one_at_a_time_is_what_some_actions_take(staff_client, alice, bob):
    page = act(staff_client, "export", alice, bob)

    assert "this action takes at most 1." in flash_messages(page)
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("key", ["x", "0", "' OR 1=1", "\0"])
def test_action_on_what_is_no_id_is_refused(staff_client, alice, key):
    chosen = {"action": "disable", "_selected_action": key, "confirmed": "yes", "reason": "x"}

    assert staff_client.post(url(User), chosen).status_code == 400


def test_no_page_lets_support_make_somebody_staff(staff_client_for, alice):
    form = {"name": "A", "is_staff": "on", "is_superuser": "on"}

    answer = staff_client_for("Support").post(url(User, "change", alice.pk), form)

    assert answer.status_code == 403
    assert not User.objects.get(pk=alice.pk).is_staff


def test_change_of_a_role_is_audited_and_in_no_log_that_keeps_the_number(staff_client, alice):
    support = Group.objects.create(name="Support")
    form = {"name": "Alicia", "is_staff": "on", "groups": [support.pk], "reason": "new colleague"}

    unexplained = staff_client.post(url(User, "change", alice.pk), {**form, "reason": ""})
    is_staff = User.objects.get(pk=alice.pk).is_staff
    staff_client.post(url(User, "change", alice.pk), form)

    assert "This field is required" in unexplained.content.decode()
    assert (is_staff, User.objects.get(pk=alice.pk).is_staff) == (False, True)
    [event] = events(BackofficeAction.ROW_CHANGED)
    assert event.user_id == alice.pk
    # The name is a person's: the audit has that it changed, and no value.
    assert event.details == {
        "reason": "new colleague",
        "changes": {"name": None, "is_staff": [False, True], "groups": [[], ["Support"]]},
    }
    assert not LogEntry.objects.exists()


def test_history_of_a_user_is_in_the_audit_log(staff_client, alice):
    act(staff_client, "disable", alice, reason="spam")

    page = staff_client.get(url(User, "history", alice.pk), follow=True)

    assert [event.action for event in page.context["cl"].result_list] == ["user_disabled"]
    assert "spam" in page.content.decode()


def test_list_as_a_file_holds_no_formula(staff_client, alice, bob):
    User.objects.filter(pk=alice.pk).update(name='=HYPERLINK("http://evil.example","x")')
    User.objects.filter(pk=bob.pk).update(name="<script>alert(1)</script>")

    answer = staff_client.post(url(User, "export"), {"reason": "asked to"})

    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["name"] for row in rows} >= {'\'=HYPERLINK("http://evil.example","x")'}
    assert all(row["mobile"].startswith("'+") for row in rows)
    assert "text/csv" in answer["Content-Type"]
    [event] = events(BackofficeAction.ROWS_EXPORTED)
    assert (event.details["rows"], event.details["reason"]) == ("accounts.User", "asked to")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
def test_list_is_no_file_without_a_reason(staff_client, alice, reason):
    answer = staff_client.post(url(User, "export"), {"reason": reason}, follow=True)

    assert "Give a reason" in flash_messages(answer)
    assert events(BackofficeAction.ROWS_EXPORTED) == []


def test_file_has_what_the_list_was_narrowed_to_and_the_audit_no_number(staff_client, alice, bob):
    query = "?q=%2B919800000001"
    answer = staff_client.post(url(User, "export") + query, {"reason": "asked to"})

    text = b"".join(answer.streaming_content).decode()
    assert alice.mobile in text
    assert bob.mobile not in text
    assert alice.mobile not in json.dumps(events(BackofficeAction.ROWS_EXPORTED)[0].details)


@pytest.mark.parametrize("query", ["p=999", "name=x"])
def test_list_that_is_none_is_no_file(staff_client, query):
    User.objects.bulk_create(User(mobile=f"+91970000{number:04}") for number in range(60))

    answer = staff_client.post(f"{url(User, 'export')}?{query}", {"reason": "asked to"})

    assert answer.status_code == 400
    assert events(BackofficeAction.ROWS_EXPORTED) == []


def test_names_are_inert_in_pages(staff_client, alice):
    User.objects.filter(pk=alice.pk).update(name="<script>alert(1)</script>")

    pages = [staff_client.get(path) for path in (url(User), url(User, "change", alice.pk))]

    assert not any(b"<script>alert(1)" in page.content for page in pages)


@pytest.mark.parametrize("lookup", ["password__startswith", "name", "sessions__ip", "id__gt"])
def test_no_column_is_looked_up_by_the_url(staff_client, alice, lookup):
    assert staff_client.get(url(User), {lookup: "a"}).status_code == 400


def test_order_is_not_for_the_url_to_choose(staff_client, alice, bob):
    page = staff_client.get(url(User), {"o": "1.2"})

    assert page.context["cl"].queryset.query.order_by == ("-pk",)

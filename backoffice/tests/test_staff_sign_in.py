"""Staff sign-in to the admin: limits, and the second factor outside development."""

import time
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session as BrowserSession
from django.test import Client as Browser
from django.utils import timezone
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import AuditEvent, LimitHit, User
from accounts.models.audit import AccountAction, mobile_digest
from backoffice.sign_in import SIGNED_IN_AT
from tests.support.accounts.hashers import CountingHasher
from tests.support.accounts.sign_in import status_of_me

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture
def browser():
    return Browser()


@pytest.fixture
def device(staff):
    return TOTPDevice.objects.create(user=staff, name="authenticator", confirmed=True)


def token_of(device: TOTPDevice) -> str:
    totp = TOTP(device.bin_key)
    totp.time = time.time()
    return f"{totp.token():06d}"


def sign_in(browser, mobile, password=PASSWORD, token=""):
    form = {"username": mobile, "password": password, "otp_token": token}
    return browser.post("/admin/login/?next=/admin/", form)


def is_in(browser) -> bool:
    return browser.get("/admin/").status_code == 200


def test_staff_sign_in_with_password_and_second_factor(browser, staff, device):
    form = browser.get("/admin/login/").content.decode()
    answer = sign_in(browser, "tel:+91\u00a098000\u201300009", token=token_of(device))

    # A browser does not cut the pasted number.
    assert 'maxlength="32"' in form
    assert answer.status_code == 302
    assert is_in(browser)
    event = AuditEvent.objects.get()
    assert (event.action, event.user_id) == (AccountAction.STAFF_SIGNED_IN, staff.pk)


@pytest.mark.parametrize("token", ["", "000000", "abcdef", "1234567", "٠٠٠٠٠٠"])
def test_staff_without_the_second_factor_are_refused(browser, staff, device, token):
    assert sign_in(browser, staff.mobile, token=token).status_code == 200
    assert not is_in(browser)


def test_staff_who_have_no_second_factor_are_refused(browser, staff):
    sign_in(browser, staff.mobile, token="123456")

    assert not is_in(browser)


def test_second_factor_of_somebody_else_is_refused(browser, staff, device):
    other = User.objects.create_superuser("+919800000008", PASSWORD)

    sign_in(browser, other.mobile, token=token_of(device))

    assert not is_in(browser)


def test_second_factor_is_good_once(browser, staff, device):
    token = token_of(device)
    sign_in(browser, staff.mobile, token=token)

    sign_in(Browser(), staff.mobile, token=token)
    second = Browser()
    sign_in(second, staff.mobile, token=token)

    assert not is_in(second)


def test_session_ends_when_its_second_factor_is_replaced(browser, staff, device):
    sign_in(browser, staff.mobile, token=token_of(device))

    device.delete()

    assert not is_in(browser)


def test_device_of_somebody_else_does_not_count_in_a_session(browser, staff, device):
    other = User.objects.create_superuser("+919800000008", PASSWORD)
    browser.force_login(other)
    session = browser.session
    session[DEVICE_ID_SESSION_KEY] = device.persistent_id
    session.save()

    assert not is_in(browser)


def test_session_without_second_factor_is_not_let_in(browser, staff):
    browser.force_login(staff)

    assert not is_in(browser)


def test_development_needs_no_second_factor(browser, staff, settings):
    settings.DEBUG = True

    sign_in(browser, staff.mobile)

    assert is_in(browser)


def test_users_who_are_no_staff_are_refused(browser, alice, settings):
    settings.DEBUG = True
    alice.set_password(PASSWORD)
    alice.save(update_fields=["password"])

    sign_in(browser, alice.mobile)

    assert not is_in(browser)


@pytest.mark.parametrize("mobile", ["", "x", "+919812345678", "\0"])
def test_unknown_numbers_are_refused(browser, staff, settings, mobile):
    settings.DEBUG = True

    assert sign_in(browser, mobile).status_code == 200
    assert not is_in(browser)


def test_guesses_at_a_staff_password_are_limited(browser, staff, settings):
    settings.DEBUG = True
    settings.PASSWORD_FAILURES_PER_NUMBER = 2
    for _ in range(2):
        assert "Too many tries" not in sign_in(browser, staff.mobile, "x").content.decode()

    answer = sign_in(browser, staff.mobile)

    assert "Too many tries" in answer.content.decode()
    assert not is_in(browser)


def test_guesses_at_a_second_factor_are_limited(browser, staff, device, settings):
    settings.PASSWORD_FAILURES_PER_NUMBER = 2
    for _ in range(2):
        sign_in(browser, staff.mobile, token="000000")

    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    answer = sign_in(browser, staff.mobile, token=token_of(device))

    assert "Too many tries" in answer.content.decode()


def test_password_change_in_the_admin_ends_sessions_at_the_api(browser, staff, settings):
    settings.DEBUG = True
    sign_in(browser, staff.mobile)
    tokens = browser.post(
        "/api/v1/auth/login",
        {"mobile": staff.mobile, "password": PASSWORD},
        content_type="application/json",
    ).json()

    answer = browser.post(
        "/admin/password_change/",
        {"old_password": PASSWORD, "new_password1": "a new one 1", "new_password2": "a new one 1"},
    )

    assert answer.status_code == 302
    assert is_in(browser)
    assert status_of_me(tokens["access_token"]) == 401


def test_audit_events_cannot_be_changed_in_the_admin(browser, staff, settings):
    settings.DEBUG = True
    browser.force_login(staff)
    event = AuditEvent.objects.record(AccountAction.SIGNED_IN)

    changed = browser.post(f"/admin/accounts/auditevent/{event.pk}/change/", {"action": "x"})
    deleted = browser.post(f"/admin/accounts/auditevent/{event.pk}/delete/", {"post": "yes"})

    assert (changed.status_code, deleted.status_code) == (403, 403)


# Number, password and code of a sign-in that fails, and the cause in the audit.
FAILURES = {
    "unknown number": ("+919812345678", PASSWORD, "000000", "number"),
    "no number": ("nonsense", PASSWORD, "000000", "number"),
    "wrong password": ("+919800000009", "wrong one", "000000", "password"),
    "long password": ("+919800000009", PASSWORD.ljust(200_000), "000000", "password"),
    "no staff": ("+919800000001", PASSWORD, "000000", "role"),
    "disabled": ("+919800000002", PASSWORD, "000000", "number"),
    "no second factor": ("+919800000009", PASSWORD, "", "second_factor"),
    "wrong second factor": ("+919800000009", PASSWORD, "000000", "second_factor"),
}


@pytest.fixture
def counted(alice, bob, staff, device, settings):
    """Alice and Bob, who is disabled, have the password of staff."""
    settings.PASSWORD_HASHERS = ["tests.support.accounts.hashers.CountingHasher"]
    for user in (alice, bob, staff):
        user.set_password(PASSWORD)
        user.is_active = user != bob
        user.save()
    CountingHasher.hashed.clear()
    return CountingHasher.hashed


@pytest.mark.parametrize("mobile, password, token, cause", FAILURES.values(), ids=FAILURES.keys())
def test_every_failed_sign_in_of_staff_costs_and_says_the_same(
    browser, counted, mobile, password, token, cause
):
    answer = sign_in(browser, mobile, password, token)

    assert len(counted) == 1
    # The number from this network, the number from all networks, and the address.
    assert LimitHit.objects.count() == 3
    assert list(answer.context["form"].errors.values()) == [
        ["Number, password and code do not match those of a member of staff."]
    ]
    event = AuditEvent.objects.get()
    digest = mobile_digest(mobile) if mobile.startswith("+") else ""
    assert (event.action, event.details) == ("staff_sign_in_failed", {"cause": cause})
    assert (event.mobile_digest, event.user_id) == (digest, None)
    assert not is_in(browser)


def test_right_sign_in_of_staff_is_not_counted(browser, staff, device):
    sign_in(browser, staff.mobile, token=token_of(device))

    assert not LimitHit.objects.exists()


def let_idle(browser, period: timedelta) -> None:
    """Age the admin's session, as if so long had passed without a request."""
    let_be_used(browser, period)
    session = browser.session
    session.set_expiry(BrowserSession.objects.get().expire_date - period)
    session.save()


def let_be_used(browser, period: timedelta) -> None:
    """Age the admin's session, as if so long had passed with requests."""
    session = browser.session
    session[SIGNED_IN_AT] = (
        timezone.datetime.fromisoformat(session[SIGNED_IN_AT]) - period
    ).isoformat()
    session.save()


def test_session_of_staff_ends_when_it_is_idle(browser, staff, device):
    sign_in(browser, staff.mobile, token=token_of(device))

    let_idle(browser, timedelta(minutes=29))
    still_in = is_in(browser)
    let_idle(browser, timedelta(minutes=31))

    assert still_in
    assert not is_in(browser)
    asked = browser.get("/admin/", follow=True)
    assert "after 30 minutes without a request" in asked.content.decode()


def test_session_of_staff_ends_after_twelve_hours_of_use(browser, staff, device):
    sign_in(browser, staff.mobile, token=token_of(device))

    let_be_used(browser, timedelta(hours=11, minutes=15))
    let_idle(browser, timedelta(minutes=25))
    still_in = is_in(browser)
    let_idle(browser, timedelta(minutes=21))

    assert still_in
    assert not is_in(browser)


def test_session_of_staff_is_written_once_a_minute(browser, staff, device):
    sign_in(browser, staff.mobile, token=token_of(device))
    let_idle(browser, timedelta(minutes=5))
    before = BrowserSession.objects.get().expire_date

    browser.get("/admin/")
    moved = BrowserSession.objects.get().expire_date
    browser.get("/admin/")

    assert moved - before > timedelta(minutes=4)
    assert BrowserSession.objects.get().expire_date == moved


@pytest.mark.parametrize("how", ["password", "disabled", "no staff any more"])
def test_session_of_staff_ends_with_what_it_rests_on(browser, staff, device, how):
    sign_in(browser, staff.mobile, token=token_of(device))
    assert is_in(browser)

    if how == "password":
        staff.change_password("a new one 1")
    elif how == "disabled":
        staff.disable()
    else:
        User.objects.filter(pk=staff.pk).update(is_staff=False)

    assert not is_in(browser)

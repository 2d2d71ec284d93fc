"""Budgets of SMS: of all and of a country, the reserved share, and the alerts."""

import itertools
import logging
from datetime import timedelta

import pytest
from django.core.management import call_command
from prometheus_client import REGISTRY

from accounts.models import OneTimeCode, User
from tests.support.accounts.sign_in import code_for, let_pass, post

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_challenge(settings):
    settings.SMS_CHALLENGE = "off"


def spend(count, country="+9198123"):
    """Ask for codes to numbers without an account, each from another network."""
    for number in range(count):
        code_for(f"{country}{number:05d}", ip=f"10.0.{number >> 8}.{number & 255}")


def ask(mobile, ip="127.0.0.1"):
    answer = post("auth/send-otp", {"mobile": mobile}, ip=ip)
    return answer.json().get("code", answer.status_code)


@pytest.mark.parametrize("name", ["SMS_DAILY_BUDGET", "SMS_COUNTRY_HOURLY_BUDGET"])
def test_share_of_each_budget_is_reserved_for_accounts(settings, alice, bob, name):
    """Somebody who invents numbers does not shut out the people who are here."""
    setattr(settings, name, 4)
    spend(3)

    stranger = ask("+919812399999")
    person = ask(alice.mobile)
    last = post("auth/send-otp", {"mobile": bob.mobile})

    assert (stranger, person) == ("sms_budget_spent", 200)
    assert last.json()["code"] == "sms_budget_spent"
    assert int(last["Retry-After"]) > 3500
    let_pass(timedelta(days=1))
    assert ask("+919812399999") == 200


def test_budget_of_one_country_leaves_the_others_theirs(settings):
    settings.SMS_ALLOWED_COUNTRIES = ["*"]
    settings.SMS_COUNTRY_HOURLY_BUDGET = 4
    spend(3)

    assert ask("+919812399999") == "sms_budget_spent"
    assert ask("+447400123456") == 200


def test_budget_of_zero_sends_nothing(settings):
    settings.SMS_DAILY_BUDGET = 0

    assert ask("+919812399999") == "sms_budget_spent"


def test_half_of_a_budget_is_logged_once_in_its_window(settings, caplog):
    settings.SMS_DAILY_BUDGET = 6
    spend(4)

    logged = [record for record in caplog.records if "SMS_DAILY_BUDGET" in record.getMessage()]

    assert [record.levelno for record in logged] == [logging.ERROR]
    assert "half spent" in logged[0].getMessage()
    labels = {"budget": "all"}
    assert REGISTRY.get_sample_value("gemchat_sms_budget_used_ratio", labels) == 4 / 6
    let_pass(timedelta(days=1))
    spend(3)
    logged = [record for record in caplog.records if "SMS_DAILY_BUDGET" in record.getMessage()]
    assert len(logged) == 2


def test_spent_budget_is_logged_once_however_often_it_is_asked(settings, alice, caplog):
    settings.SMS_DAILY_BUDGET = 4
    spend(3)
    ask(alice.mobile)

    for number in range(2):
        assert ask(f"+9198124{number:05d}") == "sms_budget_spent"

    messages = [record.getMessage() for record in caplog.records]
    assert sum("SMS_DAILY_BUDGET" in message for message in messages) == 3
    assert sum("is spent:" in message for message in messages) == 1


def test_one_ipv6_client_is_far_from_the_hourly_budget(settings, alice):
    """A fiftieth of the numbers of a deployment: sends from more /56s than the limit."""
    settings.SMS_UNANSWERED_PER_ADDRESS //= 50
    settings.SMS_COUNTRY_HOURLY_BUDGET //= 50
    mobiles = (f"+9198123{number:05d}" for number in itertools.count())

    answers = [
        ask(next(mobiles), ip=f"2001:db8:0:{number:x}::1") for number in range(0, 65_536, 10_240)
    ]

    sent = answers.count(200)
    assert sent == 4
    assert sent < 0.1 * settings.SMS_COUNTRY_HOURLY_BUDGET
    assert ask(alice.mobile, ip="198.51.100.7") == 200


def test_default_region_alone_is_sent_to():
    assert ask("+447400123456") == "validation_error"


def test_every_country_is_sent_to_on_request(settings):
    settings.SMS_ALLOWED_COUNTRIES = ["*"]

    assert ask("+447400123456") == 200


def test_account_of_a_country_without_codes_signs_in_by_password(settings):
    User.objects.create_user("+447400123456", "a long enough one", is_verified=True)

    answer = post("auth/login", {"mobile": "+447400123456", "password": "a long enough one"})

    assert answer.status_code == 200


def test_operator_sends_to_a_country_that_is_not_allowed():
    call_command("otp_send", "--mobile", "+447400123456")

    assert OneTimeCode.objects.get().mobile == "+447400123456"

"""Mobile numbers: one account for all ways of writing one, and numbers that get no SMS."""

import pytest

from accounts.models import OneTimeCode, User
from accounts.phone_numbers import InvalidPhoneNumber, to_e164
from tests.support.accounts.sign_in import NUMBER, code_for, post, verify


@pytest.mark.parametrize(
    "text",
    ["+919812345678", "+91 98123 45678", "09812345678", "919812345678", "9812345678"]
    + ["+91-98123-45678", "(098123) 45678"],
)
def test_every_way_of_writing_a_number_is_one_number(text):
    assert to_e164(text) == NUMBER


def test_documented_number_is_taken():
    assert to_e164("1234567890") == "+911234567890"


@pytest.mark.parametrize(
    "text",
    ["", "abc", "+", "12345", "+1234567890123456", "٩٨١٢٣٤٥٦٧٨", "98123\n45678", "9812345678\n"]
    + ["++919812345678", "+9198123x45678", "+00000000000", "9812345678;ext=1"],
)
def test_text_that_is_no_number_is_refused(text):
    with pytest.raises(InvalidPhoneNumber):
        to_e164(text)


@pytest.mark.parametrize("text", ["1800123456", "+18005550199", "+449012345678"])
def test_numbers_that_cost_the_sender_are_refused(text):
    with pytest.raises(InvalidPhoneNumber):
        to_e164(text)


@pytest.mark.django_db
def test_country_that_is_not_allowed_gets_no_code(settings):
    settings.SMS_ALLOWED_COUNTRIES = ["IN"]

    refused = post("auth/send-otp", {"mobile": "+14155552671"})
    sent = post("auth/send-otp", {"mobile": NUMBER})

    assert (refused.status_code, sent.status_code) == (422, 200)
    assert refused.json()["errors"][0]["code"] == "invalid_mobile"
    assert OneTimeCode.objects.count() == 1


@pytest.mark.django_db
def test_number_written_in_another_way_opens_the_same_account():
    first = verify(code_for(), "09812345678")
    second = verify(code_for(), "9812345678")

    assert first.json()["user"]["id"] == second.json()["user"]["id"]
    assert User.objects.count() == 1

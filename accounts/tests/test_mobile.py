"""Mobile numbers: one account for all notations, and numbers that get no SMS."""

import re

import pytest

from accounts.models import OneTimeCode, User
from accounts.phone_numbers import InvalidPhoneNumber, to_e164, to_textable
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
    [
        "+91\u00a098123\u00a045678",
        "+91\u202f98123\u200945678\u3000",
        "+91\u201398123\u201445678",
        "+91\u201198123\u221245678",
        "\u202a+91 98123 45678\u202c",
        "\u200e+91\u200b98123\u2060\ufeff45678\u00ad",
        "tel:+91-98123-45678",
        "\u200eTEL:+919812345678",
        "\uff0b91 98123\uff0d45678",
        "+91 (0) 98123/45678",
        "+91\t98123\u00b745678",
        "0091 98123 45678",
    ],
)
def test_pasted_number_is_the_same_number(text):
    assert to_e164(text) == NUMBER


@pytest.mark.parametrize(
    "text",
    ["+54 9 11 2345-6789", "+54 11 2345-6789", "+54 11 15 2345-6789", "005491123456789"],
)
def test_argentine_number_is_one_number_with_and_without_the_9(text):
    assert to_e164(text) == "+5491123456789"


@pytest.mark.parametrize("text", ["+52 1 55 1234 5678", "+52 55 1234 5678", "+52 045 55 1234 5678"])
def test_mexican_number_is_one_number_with_and_without_the_1(text):
    assert to_e164(text) == "+525512345678"


@pytest.mark.parametrize(
    "text, hint",
    [
        ("1-415-555-2671", "is the number +1 415-555-2671?"),
        ("44 7400 123456", "is the number +44 7400 123456?"),
        ("1000000000", "Write the country code"),
        ("99999999999999", "Write the country code"),
    ],
)
def test_number_that_no_plan_has_is_refused_with_a_hint(text, hint):
    with pytest.raises(InvalidPhoneNumber, match=re.escape(hint)):
        to_e164(text)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "+", "12345", "+1234567890123456", "٩٨١٢٣٤٥٦٧٨", "98123\n45678", "9812345678\n"]
    + ["++919812345678", "+9198123x45678", "+00000000000", "9812345678;ext=1"],
)
def test_text_that_is_no_number_is_refused(text):
    with pytest.raises(InvalidPhoneNumber):
        to_e164(text)


@pytest.mark.parametrize(
    "text, kind",
    [
        ("1800123456", "toll_free"),
        ("+18005550199", "toll_free"),
        ("+449012345678", "premium_rate"),
        ("+447012345678", "personal_number"),
        ("+447640123456", "pager"),
        ("+445512345678", "uan"),
        ("+41860791234567", "voicemail"),
    ],
)
def test_numbers_that_cost_the_sender_are_refused_unless_allowed(settings, text, kind):
    with pytest.raises(InvalidPhoneNumber, match="of this kind"):
        to_e164(text)

    settings.SMS_ALLOWED_KINDS = [kind]
    assert to_e164(text)


@pytest.mark.parametrize(
    "text",
    ["+870773111632", "+878101234567890", "+881612345678", "+88213312345", "+883510012345678"]
    + ["+88812345678901", "+979123456789"],
)
def test_satellites_are_refused_unless_their_code_is_allowed(settings, text):
    settings.SMS_ALLOWED_COUNTRIES = ["*"]
    with pytest.raises(InvalidPhoneNumber):
        to_textable(text)

    settings.SMS_ALLOWED_COUNTRIES = [text[:4]]
    assert to_textable(text) == text


@pytest.mark.django_db
def test_code_to_a_number_that_no_plan_has_is_refused(settings):
    settings.SMS_ALLOWED_COUNTRIES = ["*"]

    foreign = post("auth/send-otp", {"mobile": "1-415-555-2671"})
    invented = post("auth/send-otp", {"mobile": "+911000000000"})

    assert (foreign.status_code, invented.status_code) == (422, 422)
    assert "country code: is the number +1 415-555-2671?" in foreign.json()["errors"][0]["message"]
    assert OneTimeCode.objects.count() == 0


def test_number_is_checked_without_a_code():
    checked = post("auth/check-mobile", {"mobile": "098123 45678"})
    refused = post("auth/check-mobile", {"mobile": "1-415-555-2671"})

    assert checked.json() == {"mobile": NUMBER, "formatted": "+91 98123 45678", "country": "IN"}
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "invalid_mobile")


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

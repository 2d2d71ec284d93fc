"""Settings that must not reach a running server."""

from datetime import timedelta

import pytest

from accounts.checks import check_account_settings

LONG = "x" * 64


def ids():
    return [error.id for error in check_account_settings()]


def test_settings_of_the_tests_pass():
    assert ids() == []


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("OTP_ECHO", True, "gemchat.E001"),
        ("JWT_SECRETS", [LONG, "x" * 31], "gemchat.E002"),
        ("JWT_SECRETS", [""], "gemchat.E002"),
        ("JWT_ALGORITHM", "none", "gemchat.E003"),
        ("JWT_ALGORITHM", "RS256", "gemchat.E003"),
        ("TRUSTED_PROXY_COUNT", -1, "gemchat.E004"),
        ("PHONE_DEFAULT_REGION", "XX", "gemchat.E005"),
        ("SMS_ALLOWED_COUNTRIES", ["IN", "ALL"], "accounts.E002"),
        ("SMS_ALLOWED_COUNTRIES", ["+91"], "accounts.E002"),
        ("SMS_ALLOWED_KINDS", ["PAGER"], "accounts.E006"),
        ("SMS_RESERVED_SHARE", 1.0, "accounts.E003"),
        ("SMS_CHALLENGE", "on", "accounts.E004"),
        ("PHONE_DEFAULT_REGION", "india", "gemchat.E005"),
        ("OTP_LIFETIME", timedelta(), "gemchat.E006"),
        ("JWT_LIFETIME", timedelta(hours=-1), "gemchat.E007"),
        ("SMS_BACKEND", "accounts.sms.TwilioBackend", "gemchat.E008"),
        ("OTP_SECRET", "x" * 31, "gemchat.E009"),
        ("SMS_BACKEND", "accounts.sms.ConsoleBackend", "gemchat.E010"),
        ("SMS_BACKEND", "accounts.sms.MemoryBackend", "gemchat.E010"),
        ("SMS_BACKEND", "accounts.sms.NoBackend", "accounts.E002"),
        ("SMS_BACKEND", "nothing", "accounts.E002"),
        ("TRUSTED_PROXY_COUNT", 11, "accounts.E003"),
        ("JWT_LIFETIME", timedelta(hours=169), "accounts.E004"),
        ("OTP_LIFETIME", timedelta(minutes=61), "accounts.E005"),
    ],
)
def test_bad_setting_is_an_error(settings, name, value, expected):
    setattr(settings, name, value)

    assert ids() == [expected]


def test_key_must_be_as_long_as_its_hash(settings):
    settings.JWT_ALGORITHM = "HS512"
    settings.JWT_SECRETS = ["x" * 63]

    assert ids() == ["gemchat.E002"]


@pytest.mark.parametrize(
    "name, value",
    [
        ("OTP_ECHO", True),
        ("JWT_SECRETS", ["short"]),
        ("OTP_SECRET", "short"),
        ("SMS_BACKEND", "accounts.sms.ConsoleBackend"),
        ("SMS_BACKEND", "accounts.sms.MemoryBackend"),
        ("JWT_LIFETIME", timedelta(days=365)),
    ],
)
def test_development_may_be_lax(settings, name, value):
    settings.DEBUG = True
    setattr(settings, name, value)

    assert ids() == []

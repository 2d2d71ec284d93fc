"""Settings of the whole program that must not reach a running server."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from gemchat.checks import check_project_settings, refuse_bad_settings

LOCAL = ["localhost", "127.0.0.1", "[::1]", "10.0.0.7", "chat", "chat.localhost", "chat.internal"]


def ids() -> list[str]:
    return [error.id for error in check_project_settings()]


def test_settings_of_the_tests_pass():
    assert ids() == []
    refuse_bad_settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WEB_THREADS", 0, "gemchat.E011"),
        ("WORKER_CONCURRENCY", 0, "gemchat.E011"),
        ("CACHE_TTL_SECONDS", -1, "gemchat.E011"),
        ("SMS_DAILY_BUDGET", -1, "gemchat.E011"),
        ("GEMINI_CONTEXT_TOKENS", 0, "gemchat.E011"),
        ("GEMINI_MAX_OUTPUT_TOKENS", 0, "gemchat.E011"),
        ("GEMINI_FIRST_BYTE_SECONDS", 0.0, "gemchat.E011"),
        ("GEMINI_IDLE_SECONDS", -1.0, "gemchat.E011"),
        ("GEMINI_TOTAL_SECONDS", 0.0, "gemchat.E011"),
        ("REPLY_LEASE_SECONDS", 0.0, "gemchat.E011"),
        ("REPLY_SWEEP_SECONDS", 0.0, "gemchat.E011"),
        ("STRIPE_REQUEST_SECONDS", 0.0, "gemchat.E011"),
        ("CORS_ALLOWED_ORIGINS", ["null"], "gemchat.E013"),
        ("CORS_ALLOWED_ORIGINS", ["file://"], "gemchat.E013"),
        ("CORS_ALLOWED_ORIGINS", ["https://*.example.com"], "gemchat.E013"),
        ("ALLOWED_HOSTS", ["chat.example.com", "*"], "gemchat.E015"),
        ("SECRET_KEY", "0123456789abcdef0123456789abcde", "gemchat.E016"),
        ("SECRET_KEY", "a" * 64, "gemchat.E017"),
        ("JWT_SECRETS", ["abc" * 20], "gemchat.E017"),
        ("OTP_SECRET", "development-only-otp-secret-never-deploy", "gemchat.E017"),
        ("METRICS_TOKEN", "a", "gemchat.E021"),
        ("METRICS_TOKEN", "0123456789abcde", "gemchat.E021"),
        ("METRICS_TOKEN", "a" * 64, "gemchat.E021"),
        ("TWILIO_API_BASE", "http://api.twilio.com", "gemchat.E022"),
        ("GEMINI_API_BASE", "http://proxy.example.com/gemini", "gemchat.E022"),
        ("STRIPE_API_BASE", "api.stripe.com", "gemchat.E022"),
        ("STRIPE_API_BASE", "http://[", "gemchat.E022"),
    ],
)
def test_bad_setting_is_an_error(settings, name, value, expected):
    setattr(settings, name, value)

    [found] = check_project_settings()

    assert (found.id, name.removesuffix("S") in found.msg) == (expected, True)


@pytest.mark.parametrize("name", ["SECRET_KEY", "OTP_SECRET"])
def test_secrets_must_differ(settings, name):
    setattr(settings, name, settings.JWT_SECRETS[0])

    assert ids() == ["gemchat.E018"]


@pytest.mark.parametrize("host", ["*", "chat.example.com", ".example.com", "8.8.8.8"])
def test_debug_is_not_for_public_hosts(settings, host):
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["localhost", host]

    assert ids() == ["gemchat.E014"]


@pytest.mark.parametrize(
    "base", ["https://eu.example.com", "http://gateway:8080", "http://[::1]:1"]
)
def test_key_may_go_over_tls_or_within_the_own_network(settings, base):
    settings.GEMINI_API_BASE = base

    assert ids() == []


def test_development_may_be_lax(settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = True, LOCAL
    settings.METRICS_TOKEN = "x"
    settings.SECRET_KEY = settings.OTP_SECRET = "x"

    assert ids() == []


@pytest.mark.parametrize("origin", ["*", "chat.example.com", "https://chat.example.com/path"])
def test_origin_that_is_none_stops_the_start(settings, origin):
    settings.CORS_ALLOWED_ORIGINS = [origin]

    with pytest.raises(ImproperlyConfigured, match="CORS_ALLOWED_ORIGINS"):
        refuse_bad_settings()

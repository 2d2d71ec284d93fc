"""What is taken out of texts, and what is left in them."""

import io
import logging

import pytest
from django.conf import settings

from gemchat.monitoring.log_format import formatter
from gemchat.monitoring.redaction import REDACTED, redacted

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
REFRESH = "AaIHkVGYcCSj" * 7 + "-_=="
SECRETS = [
    JWT,
    REFRESH,
    f"Bearer {REFRESH}",
    "sk_test_abcdefghijkl",
    "rk_live_abcdefghijkl",
    "whsec_abcdefghijkl",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "123456",
    settings.SECRET_KEY,
    settings.OTP_SECRET,
    settings.DATABASES["default"]["PASSWORD"],
]
INNOCENT = [
    "Reply 01a20f48-301a-72e4-8bb7-14c316d84726 is complete",
    "2026-11-23T08:41:33.877874Z took 12.345678 s",
    "Open files are limited to 20000: WEB_CONNECTIONS asks for 4608",
    "max_tokens=8192 prompt_tokens: 1234567",
    "File '/srv/app/messaging/gemini/google_generativeai_network.py', line 151",
    "127.0.0.1:47859",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "it was {}.", '{{"x": "{}"}}', "refused ({}), again"])
def test_secret_is_taken_out(secret: str, around: str) -> None:
    text = redacted(around.format(secret))

    assert secret not in text
    assert REDACTED in text


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        '{"new_password": "hunter2 and more"}',
        "{'otp': 'hunter2'}",
        "refresh_token: hunter2",
        "https://example.com/?a=b&key=hunter2&c=d",
        "api_key=hunter2",
        "postgres://user:hunter2@db/name",
        "Failing row contains (1, +919812345678, hunter2,\nmore).",
    ],
)
def test_value_is_taken_out_by_its_name(text: str) -> None:
    assert "hunter2" not in redacted(text)


@pytest.mark.parametrize(
    "number", ["+919812345678", "+91 98123 45678", "9812345678", "+1 (202) 555-0123"]
)
def test_mobile_is_masked_but_for_its_ends(number: str) -> None:
    text = redacted(f"Key (mobile)=({number}) already exists.")

    assert number not in text
    assert number[-2:] in text


@pytest.mark.parametrize("text", INNOCENT)
def test_other_text_is_left(text: str) -> None:
    assert redacted(text) == text


def test_extra_fields_and_arguments_are_redacted_too() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter(readable=False))
    logger = logging.Logger("of this test")
    logger.addHandler(handler)

    logger.error(
        "Sent to %s",
        "+919812345678",
        extra={"otp": 654321, "sent": {"Authorization": "x", "raw": JWT.encode()}},
    )

    for secret in ("9812345678", "654321", JWT, '"x"'):
        assert secret not in written.getvalue()

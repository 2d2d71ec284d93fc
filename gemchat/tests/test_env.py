"""Values of the environment, as the settings read them."""

import os
import subprocess
import sys

import pytest

READ = "from django.conf import settings; print(settings.{name})"


def read(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", READ.format(name=name)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "gemchat.settings", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("variable", "value", "path"),
    [
        ("SMS_BACKEND", "twilio", "accounts.sms.TwilioBackend"),
        ("SMS_BACKEND", "console", "accounts.sms.ConsoleBackend"),
        ("SMS_BACKEND", "accounts.sms.TwilioBackend", "accounts.sms.TwilioBackend"),
        ("GEMINI_BACKEND", "google-genai", "messaging.gemini.google_genai.Backend"),
        ("GEMINI_BACKEND", "offline", "messaging.gemini.offline.Backend"),
        ("GEMINI_BACKEND", "tests.support.fakes.Backend", "tests.support.fakes.Backend"),
    ],
)
def test_backend_is_set_by_name_and_by_path(variable: str, value: str, path: str) -> None:
    process = read(variable, **{variable: value})

    assert process.stdout == f"{path}\n"


@pytest.mark.parametrize("variable", ["SMS_BACKEND", "GEMINI_BACKEND"])
def test_backend_of_an_unknown_name_stops_the_start(variable: str) -> None:
    process = read(variable, **{variable: "pigeon"})

    last = process.stderr.strip().splitlines()[-1]
    assert process.returncode != 0
    assert last.startswith(
        f"django.core.exceptions.ImproperlyConfigured: {variable} is pigeon; it must be "
    )


def test_number_of_a_plan_is_read_from_the_environment() -> None:
    process = read("PLANS['pro'].daily_cost_usd", PRO_DAILY_COST_USD="2.5")

    assert process.stdout == "2.5\n"


def test_number_of_a_plan_that_is_none_stops_the_start() -> None:
    process = read("PLANS", BASIC_DAILY_LIMIT="many")

    assert "BASIC_DAILY_LIMIT is not a valid int value." in process.stderr

"""What the doctor finds, with each dependency there and away."""

import io
import json
import re
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from backoffice.dashboard.rollup import update_daily_metrics
from backoffice.management import doctor as doctor_checks
from backoffice.models import DailyMetrics
from billing.stripe import client as stripe_client
from billing.tests.plans import with_plan
from gemchat.monitoring.health import heartbeat_key
from gemchat.stores.redis import client
from messaging.replies.metrics import QUEUES
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio
from tests.support.messaging.gemini_calls import KEY

pytestmark = pytest.mark.django_db


@pytest.fixture
def well(settings: Any, staff: User) -> None:
    """Everything that is not on loopback servers anyhow."""
    settings.DEBUG = True
    for queue in QUEUES:
        client().set(heartbeat_key(queue), "1")
    update_daily_metrics(now=timezone.now())


def doctor() -> dict[str, Any]:
    out = io.StringIO()
    with suppress(CommandError):
        call_command("doctor", "--json", stdout=out)
    return json.loads(out.getvalue())


def ill(findings: dict[str, Any]) -> set[str]:
    return {name for name, finding in findings.items() if not finding["ok"]}


def test_doctor_finds_nothing_wrong_where_nothing_is(well: None) -> None:
    out = io.StringIO()

    call_command("doctor", stdout=out)

    assert "BAD" not in out.getvalue()
    assert ill(doctor()) == set()


@pytest.mark.parametrize("queue", QUEUES)
def test_doctor_ends_with_a_failure_and_names_the_queue_without_worker(
    well: None, queue: str
) -> None:
    client().delete(heartbeat_key(queue))
    out = io.StringIO()

    with pytest.raises(CommandError, match=r"Not well: worker\."):
        call_command("doctor", stdout=out)

    assert f"No worker of the queue {queue} has" in out.getvalue()


def test_doctor_finds_that_beat_has_stopped(well: None) -> None:
    DailyMetrics.objects.update(computed_at=timezone.now() - timedelta(hours=1))

    findings = doctor()

    assert ill(findings) == {"beat"}
    assert "Are beat and a worker running?" in findings["beat"]["detail"]


def test_doctor_finds_a_broker_that_is_down(well: None, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    assert ill(doctor()) == {"broker"}


def test_doctor_finds_that_nobody_is_staff(well: None, staff: User) -> None:
    User.objects.update(is_staff=False)

    assert ill(doctor()) == {"staff"}


def test_doctor_finds_settings_that_do_not_go_together(well: None, settings: Any) -> None:
    settings.DEBUG = False
    settings.OTP_ECHO = True

    findings = doctor()

    assert "settings" in ill(findings)
    assert "OTP_ECHO" in findings["settings"]["detail"]


def test_doctor_asks_gemini_for_the_model(well: None, gemini: FakeGemini) -> None:
    assert "settings" not in ill(doctor())
    assert [request.path for request in gemini.requests] == ["/v1beta/models/gemini-3.5-flash-lite"]


@pytest.mark.parametrize(
    ("status", "word"),
    [(403, "may not use"), (404, "no such model"), (503, "overloaded")]
    + [(204, "address"), (302, "address"), (407, "proxy")],
)
def test_doctor_tells_what_gemini_refuses(
    well: None, gemini: FakeGemini, status: int, word: str
) -> None:
    gemini.script(Answer(status=status))

    findings = doctor()

    assert ill(findings) == {"gemini"}
    assert word in findings["gemini"]["detail"]
    assert KEY not in json.dumps(findings)


def test_doctor_finds_a_page_in_place_of_gemini(well: None, gemini: FakeGemini) -> None:
    gemini.script(Answer(raw_body="<html>Welcome to the hotel Wi-Fi</html>"))

    findings = doctor()

    assert ill(findings) == {"gemini"}
    assert "GEMINI_API_BASE" in findings["gemini"]["detail"]


def test_doctor_finds_that_gemini_can_not_be_reached(well: None, settings: Any) -> None:
    settings.GOOGLE_API_KEY, settings.GEMINI_API_BASE = KEY, "http://127.0.0.1:1"

    assert ill(doctor()) == {"gemini"}


@pytest.fixture
def stripe(settings: Any) -> Any:
    with FakeStripe(secret_key="sk_test_x") as fake:
        fake.add_price("price_pro")
        settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = fake.url, "sk_test_x"
        settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x"]
        with_plan(settings, "pro", stripe_price_ids=["price_pro"])
        stripe_client.configure()
        yield fake
    settings.STRIPE_API_BASE = settings.STRIPE_SECRET_KEY = ""
    stripe_client.configure()


def test_doctor_asks_stripe_for_the_price(well: None, stripe: FakeStripe) -> None:
    findings = doctor()

    assert findings["stripe"] == {"ok": True, "detail": "It answers, and sells price_pro."}


@pytest.mark.parametrize("what", ["price", "key", "webhook", "down"])
def test_doctor_tells_what_is_wrong_at_stripe(
    well: None, stripe: FakeStripe, settings: Any, what: str
) -> None:
    if what == "price":
        with_plan(settings, "pro", stripe_price_ids=["price_gone"])
    elif what == "key":
        settings.STRIPE_SECRET_KEY = "sk_test_other"
        stripe_client.configure()
    elif what == "webhook":
        settings.STRIPE_WEBHOOK_SECRETS = []
    else:
        stripe.fail("GET", "/v1/prices", status=500, times=2)

    assert "stripe" in ill(doctor())


def test_doctor_asks_twilio_about_the_account(well: None, settings: Any) -> None:
    with FakeTwilio() as twilio:
        settings.SMS_BACKEND = "accounts.sms.TwilioBackend"
        settings.TWILIO_API_BASE, settings.TWILIO_ACCOUNT_SID = twilio.url, ACCOUNT
        settings.TWILIO_AUTH_TOKEN, settings.TWILIO_FROM = TOKEN, SENDER
        assert "sms" not in ill(doctor())

        settings.TWILIO_AUTH_TOKEN = "another"
        findings = doctor()

    assert "HTTP 401" in findings["sms"]["detail"]
    assert "no answer" in doctor()["sms"]["detail"]


def test_doctor_reports_the_skew_of_the_clock(well: None) -> None:
    detail = doctor()["clock"]["detail"]

    assert re.fullmatch(r"This machine's clock is \d\.\d\d s (ahead of|behind) Postgre.*", detail)


def test_doctor_finds_a_clock_that_differs(well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "MOST_SKEW_SECONDS", 0.0)

    findings = doctor()

    assert ill(findings) == {"clock"}
    assert "Synchronise the clocks" in findings["clock"]["detail"]


@pytest.mark.parametrize(
    ("key", "countries", "terms"),
    [
        ("", ["DE"], 0),
        (KEY, ["IN"], 2),
        (KEY, ["IN", "CH"], 3),
        (KEY, ["*"], 3),
    ],
)
def test_doctor_names_the_terms_that_settings_touch(
    well: None, settings: Any, gemini: FakeGemini, key: str, countries: list[str], terms: int
) -> None:
    settings.GOOGLE_API_KEY, settings.SMS_ALLOWED_COUNTRIES = key, countries

    finding = doctor()["terms"]

    named = ["18 or older", "trains Google's models", "Switzerland"]
    assert finding["ok"]
    assert [text for text in named if text in finding["detail"]] == named[:terms]

"""How a code leaves: by Twilio, again after failures, and once."""

import logging
from contextlib import redirect_stderr
from datetime import timedelta

import pytest
import redis
from celery.utils.log import LoggingProxy
from django.utils import timezone

from accounts.models import OneTimeCode
from accounts.sms import MemoryBackend
from accounts.tasks import deliver_code, sweep_codes
from tests.support.accounts.sign_in import NUMBER, code_for, let_pass
from tests.support.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio
from tests.support.marks import transactional
from tests.support.waiting import at_once

# Sending lets go of the connection, which would end a transaction around the test.
pytestmark = transactional

TWILIO_SETTINGS = ["TWILIO_API_BASE", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"]
QUEUED, SENT, FAILED = OneTimeCode.Delivery


@pytest.fixture
def twilio(settings):
    with FakeTwilio() as fake:
        settings.SMS_BACKEND = "accounts.sms.TwilioBackend"
        settings.TWILIO_API_BASE = fake.url
        settings.TWILIO_ACCOUNT_SID = ACCOUNT
        settings.TWILIO_AUTH_TOKEN = TOKEN
        settings.TWILIO_FROM = SENDER
        yield fake


@pytest.fixture
def outbox(settings):
    settings.SMS_BACKEND = "accounts.sms.MemoryBackend"
    MemoryBackend.outbox.clear()
    return MemoryBackend.outbox


@pytest.fixture
def code():
    return OneTimeCode.objects.issue(mobile=NUMBER, ip=None)


def queue_length(settings) -> int:
    return redis.Redis.from_url(settings.REDIS_URL).llen("default")


def test_twilio_is_sent_the_code(twilio, code):
    deliver_code(str(code.pk))

    [message] = twilio.messages
    assert (message["To"], message["From"]) == (NUMBER, SENDER)
    assert code.digits in message["Body"]
    assert "5 minutes" in message["Body"]
    code.refresh_from_db()
    assert (code.delivery_status, code.delivery_tries) == (SENT, 1)


@pytest.mark.parametrize("seconds", [-5, 0.2, 5])
def test_code_of_a_web_machine_with_another_clock_is_sent_at_once(outbox, monkeypatch, seconds):
    ahead = timezone.now() + timedelta(seconds=seconds)
    with monkeypatch.context() as web:
        web.setattr(timezone, "now", lambda: ahead)
        code = OneTimeCode.objects.issue(mobile=NUMBER, ip=None)

    deliver_code(str(code.pk))

    assert len(outbox) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failure_is_tried_again_after_a_while(twilio, code, settings, status):
    twilio.script(status)

    deliver_code(str(code.pk))

    code.refresh_from_db()
    assert code.delivery_status == QUEUED
    assert code.delivery_error.startswith(f"HTTP {status}")
    wait = (code.next_delivery_at - timezone.now()).total_seconds()
    assert 1 < wait <= 2
    deliver_code(str(code.pk))
    assert len(twilio.attempts) == 1, "it was not due yet"
    OneTimeCode.objects.update(next_delivery_at=timezone.now())
    deliver_code(str(code.pk))
    code.refresh_from_db()
    assert (code.delivery_status, code.delivery_tries, len(twilio.messages)) == (SENT, 2, 1)


def test_delivery_is_given_up_after_five_tries(twilio, code):
    twilio.script(*[503] * 9)

    for _ in range(9):
        OneTimeCode.objects.update(next_delivery_at=timezone.now())
        deliver_code(str(code.pk))

    code.refresh_from_db()
    assert (code.delivery_status, len(twilio.attempts)) == (FAILED, 5)


def test_lasting_failure_is_not_tried_again(twilio, code):
    twilio.script(400)

    deliver_code(str(code.pk))
    deliver_code(str(code.pk))

    code.refresh_from_db()
    assert (code.delivery_status, code.delivery_error) == (FAILED, "HTTP 400, Twilio error 21211")
    assert len(twilio.attempts) == 1


def test_unreachable_twilio_is_a_passing_failure(twilio, code, settings):
    settings.TWILIO_API_BASE = "http://127.0.0.1:1"

    deliver_code(str(code.pk))

    code.refresh_from_db()
    assert (code.delivery_status, code.delivery_error) == (QUEUED, "no answer: ConnectionError")


def test_wrong_credentials_are_a_lasting_failure(twilio, code, settings):
    settings.TWILIO_AUTH_TOKEN = "another"

    deliver_code(str(code.pk))

    code.refresh_from_db()
    assert code.delivery_status == FAILED


def test_task_that_is_delivered_many_times_sends_one_message(outbox):
    code_for()
    code_id = str(OneTimeCode.objects.get().pk)

    at_once(10, lambda: deliver_code(code_id))

    assert len(outbox) == 1


@pytest.mark.parametrize("ending", ["used", "expired"])
def test_code_that_has_ended_is_not_sent(outbox, code, ending):
    if ending == "used":
        code.use()
    else:
        let_pass(timedelta(minutes=5))

    deliver_code(str(code.pk))

    assert outbox == []


def test_sweep_leaves_codes_alone_that_are_being_sent(outbox, code, settings):
    OneTimeCode.objects.claim_delivery(code.pk)

    sweep_codes()

    assert queue_length(settings) == 0


def test_sweep_takes_up_a_code_whose_worker_died(outbox, code, settings):
    OneTimeCode.objects.claim_delivery(code.pk)
    OneTimeCode.objects.update(next_delivery_at=timezone.now() - timedelta(seconds=11))

    sweep_codes()
    deliver_code(str(code.pk))

    assert queue_length(settings) == 1
    assert len(outbox) == 1


def test_console_shows_the_message_past_the_log(settings, code, capfd, caplog):
    settings.SMS_BACKEND = "accounts.sms.ConsoleBackend"
    log = LoggingProxy(logging.getLogger("celery.redirected"))

    with redirect_stderr(log):
        deliver_code(str(code.pk))

    assert code.digits in capfd.readouterr().err
    assert code.digits not in caplog.text

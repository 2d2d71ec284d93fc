"""Codes that another process delivers or leaves to the sweep."""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import redis
from django.db import connection
from django.utils import timezone

from accounts.models import OneTimeCode
from accounts.sms import MemoryBackend
from accounts.tasks import deliver_code, sweep_codes
from tests.support.accounts.sign_in import NUMBER, code_for
from tests.support.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio
from tests.support.marks import transactional
from tests.support.waiting import eventually

pytestmark = transactional

TWILIO_SETTINGS = ["TWILIO_API_BASE", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"]
DEAD_BROKER = "redis://127.0.0.1:1"
QUEUED = OneTimeCode.Delivery.QUEUED


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


def queue_length(settings) -> int:
    return redis.Redis.from_url(settings.REDIS_URL).llen("default")


def environment(**changes: str) -> dict[str, str]:
    """For another process, on the database of this test."""
    server = urlsplit(os.environ["DATABASE_URL"])
    database = server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return {**os.environ, "DATABASE_URL": database, **changes}


@contextmanager
def running_worker(settings, **changes: str):
    command = [sys.executable, "-m", "celery", "-A", "gemchat", "worker", "-Q", "default"]
    worker = subprocess.Popen(
        [*command, "--pool", "solo"], cwd=settings.BASE_DIR, env=environment(**changes)
    )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(20)


def test_code_that_is_asked_for_reaches_the_phone_through_a_worker(twilio, settings):
    otp = code_for()

    with running_worker(
        settings, **{name: getattr(settings, name) for name in ["SMS_BACKEND", *TWILIO_SETTINGS]}
    ):
        eventually(lambda: OneTimeCode.objects.get().delivery_status != QUEUED, seconds=120)

    [message] = twilio.messages
    assert message["To"] == NUMBER
    assert otp in message["Body"]


def test_code_is_kept_while_the_broker_is_down_and_swept_when_it_is_back(outbox, settings):
    command = [sys.executable, "manage.py", "otp_send", "--mobile", NUMBER]
    # Another process, as Celery keeps the connections of this one.
    sent = subprocess.run(
        command,
        env=environment(CELERY_BROKER_URL=DEAD_BROKER),
        cwd=settings.BASE_DIR,
        capture_output=True,
    )
    assert sent.returncode == 0, sent.stderr
    assert b"The broker is down" in sent.stderr
    assert queue_length(settings) == 0

    OneTimeCode.objects.update(next_delivery_at=timezone.now() - timedelta(seconds=11))
    sweep_codes()
    deliver_code(str(OneTimeCode.objects.get().pk))

    assert queue_length(settings) == 1
    assert [message.to for message in outbox] == [NUMBER]


def test_failure_ends_a_command_with_a_status(settings):
    command = [sys.executable, "manage.py", "otp_status", "--mobile", "x"]

    ended = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True)

    assert ended.returncode == 1
    assert "Give a mobile number" in ended.stderr

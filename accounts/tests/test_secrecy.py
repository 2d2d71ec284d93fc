"""Codes, passwords and tokens are in no log, queue, result, page or error."""

import logging

import pytest
import redis
from django.db import connection
from django.test import Client as Browser
from django_celery_results.models import TaskResult

from accounts.models import OneTimeCode, Session
from accounts.tasks import deliver_code
from tests.support.accounts.sign_in import NUMBER, PASSWORD, code_for, post, verify, wrong
from tests.support.marks import transactional


@pytest.fixture
def secrets(caplog, settings):
    """One of each, used rightly and wrongly, with all that is logged meanwhile in `caplog`."""
    caplog.set_level(logging.DEBUG)
    signup = post("auth/signup", {"mobile": NUMBER, "password": PASSWORD})
    otp = code_for()
    answers = [verify(wrong(otp)), verify(otp, "+919812345670")]
    answer = post(
        "auth/verify-otp",
        {"mobile": NUMBER, "otp": otp, "signup_token": signup.json()["data"]["signup_token"]},
    )
    tokens = answer.json()
    answers += [
        verify(otp),
        post("auth/login", {"mobile": NUMBER, "password": PASSWORD + "x"}),
        post("auth/login", {"mobile": NUMBER, "password": PASSWORD * 20}),
        post("auth/refresh", {"refresh_token": tokens["refresh_token"]}),
    ]
    errors = " ".join(each.content.decode() for each in answers if each.status_code >= 400)
    return {
        "secrets": [otp, PASSWORD, tokens["access_token"], tokens["refresh_token"]],
        "errors": errors,
    }


@transactional
def test_secrets_are_in_no_log_queue_row_or_error(secrets, caplog, settings):
    broker = redis.Redis.from_url(settings.REDIS_URL)
    queued = b" ".join(broker.lrange("default", 0, -1)).decode()
    deliver_code(str(OneTimeCode.objects.get().pk))
    places = {
        "the log": "\n".join(
            f"{record.getMessage()} {record.args}"
            for record in caplog.records
            # The test client's own connection to the database is not what runs in production.
            if not record.name.startswith("django.db")
        ),
        "the queue": queued,
        "results": str(list(TaskResult.objects.values())),
        "the database": all_rows(),
        "errors": secrets["errors"],
    }

    assert queued, "nothing was queued"
    for secret in secrets["secrets"]:
        for place, text in places.items():
            assert secret not in text, f"{secret} is in {place}"


def all_rows() -> str:
    """Every row of accounts' tables, as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'accounts_%'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        rows = []
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t')  # noqa: S608
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


@transactional
def test_failed_delivery_leaves_no_secret(settings, caplog):
    settings.SMS_BACKEND = "accounts.sms.TwilioBackend"
    settings.TWILIO_API_BASE = "http://127.0.0.1:1"
    settings.TWILIO_AUTH_TOKEN = "twilio-secret"
    otp = code_for()

    deliver_code(str(OneTimeCode.objects.get().pk))

    assert otp not in all_rows() + caplog.text
    assert "twilio-secret" not in caplog.text


@pytest.mark.django_db
def test_admin_pages_show_no_secret(staff, settings):
    settings.DEBUG = True
    browser = Browser()
    browser.force_login(staff)
    otp = code_for()
    tokens = verify(otp).json()
    code, session = OneTimeCode.objects.get(), Session.objects.get()
    pages = [
        "onetimecode/",
        f"onetimecode/{code.pk}/change/",
        "session/",
        f"session/{session.pk}/change/",
        "auditevent/",
        "user/",
        f"user/{staff.pk}/change/",
    ]

    for page in pages:
        answer = browser.get(f"/admin/accounts/{page}")
        assert answer.status_code == 200, page
        text = answer.content.decode()
        hidden = [otp, code.salt.hex(), staff.password, tokens["refresh_token"]]
        hidden += [bytes(session.refresh_digest).hex(), str(bytes(session.refresh_digest))]
        for secret in hidden:
            assert secret not in text, f"{page} shows a secret"


@pytest.mark.django_db
def test_admin_has_no_page_for_second_factors(staff, settings):
    settings.DEBUG = True
    browser = Browser()
    browser.force_login(staff)

    assert browser.get("/admin/otp_totp/totpdevice/").status_code == 404

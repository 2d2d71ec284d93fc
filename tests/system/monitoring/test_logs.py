"""What the program writes as in production: JSON lines, traceable, without a secret in them."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio
from tests.support.stack.api_client import ApiUser
from tests.support.stack.start import EVERY_PART
from tests.support.stack.stores import refusing_rows
from tests.support.waiting import eventually

GEMINI_KEY = "AIzaSy-a-key-for-gemini-that-is-secret"
STRIPE_KEY = "sk_test_SecretSecretSecretSecretSecret"
WEBHOOK_SECRET = "whsec_SecretSecretSecret"
PASSWORD = "a pass phrase of mine"
MOBILE = "+919898989801"
PROMPT = "a word of mine that is nobody's business"

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("logs")


@pytest.fixture(scope="module")
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        yield fake


@pytest.fixture(scope="module")
def stack(
    make_stack: Callable[..., Stack], gemini_server: FakeGemini, twilio: FakeTwilio
) -> Iterator[Stack]:
    with make_stack(
        parts=EVERY_PART,
        DEBUG="false",
        OTP_ECHO="false",
        SMS_BACKEND="twilio",
        TWILIO_API_BASE=twilio.url,
        TWILIO_ACCOUNT_SID=ACCOUNT,
        TWILIO_AUTH_TOKEN=TOKEN,
        TWILIO_FROM=SENDER,
        GOOGLE_API_KEY=GEMINI_KEY,
        GEMINI_API_BASE=gemini_server.url,
        STRIPE_SECRET_KEY=STRIPE_KEY,
        STRIPE_PRO_PRICE_ID="price_pro",
        STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET,
        # Nobody is there.
        STRIPE_API_BASE="http://127.0.0.1:1",
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def secrets(stack: Stack, twilio: FakeTwilio) -> dict[str, str]:
    """The secrets of a person who signs up and meets many errors."""
    person = ApiUser(stack.url, MOBILE)
    twilio.script(503)
    signup = post(person, "auth/signup", mobile=MOBILE, password=PASSWORD).json()["data"]
    post(person, "auth/send-otp", mobile=MOBILE)
    eventually(lambda: bool(twilio.messages), seconds=30)
    [code] = re.findall(r"\d{6}", twilio.messages[-1]["Body"])
    post(person, "auth/verify-otp", mobile=MOBILE, otp=f"{(int(code) + 1) % 1_000_000:06d}")
    tokens = post(
        person, "auth/verify-otp", mobile=MOBILE, otp=code, signup_token=signup["signup_token"]
    ).json()
    post(person, "auth/login", mobile=MOBILE, password=PASSWORD + "x")
    post(person, "auth/refresh", refresh_token=tokens["refresh_token"][:-4] + "AAAA")
    again = post(person, "auth/login", mobile=MOBILE, password=PASSWORD).json()
    person.session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    return {
        "code": code,
        "password": PASSWORD,
        "signup token": signup["signup_token"],
        "access token": tokens["access_token"],
        "refresh token": tokens["refresh_token"],
        "second access token": again["access_token"],
        "mobile": MOBILE,
        "mobile's digits": MOBILE[3:],
        "prompt": PROMPT,
        "Gemini key": GEMINI_KEY,
        "Stripe key": STRIPE_KEY,
        "webhook secret": WEBHOOK_SECRET,
        "Twilio token": TOKEN,
    }


@pytest.fixture
def person(stack: Stack, secrets: dict[str, str]) -> ApiUser:
    person = ApiUser(stack.url, MOBILE)
    person.session.headers["Authorization"] = f"Bearer {secrets['access token']}"
    return person


def post(person: ApiUser, path: str, **body: Any) -> requests.Response:
    return person.session.post(f"{person.url}/{path}", json=body, timeout=30)


def lines(stack: Stack) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stack.output]


def assert_unseen(secrets: dict[str, str], stack: Stack) -> None:
    written = "\n".join(stack.output)
    assert written
    for name, secret in secrets.items():
        assert secret not in written, f"the {name} is in the log"


def test_every_line_is_json_with_a_time_and_a_request(stack: Stack, person: ApiUser) -> None:
    person.get("user/me")

    for line in lines(stack):
        assert {"timestamp", "level", "logger", "request_id", "event"} <= line.keys(), line


def test_request_leaves_one_line_without_what_it_asked(stack: Stack, person: ApiUser) -> None:
    me = person.get("user/me")
    room = person.open_room()
    headers = {"X-Request-ID": "access.1"}
    person.session.get(f"{person.url}/chatroom/?q={PROMPT}", headers=headers, timeout=10)
    person.session.get(f"{person.url}/chatroom/{room}/export", headers=headers, timeout=10)

    def found() -> list[dict[str, Any]]:
        return [line for line in lines(stack) if line.get("client_request_id") == "access.1"]

    eventually(lambda: len(found()) == 2, seconds=10)
    listed, exported = found()
    assert listed["route"] == "/api/v1/chatroom"
    assert exported["route"] == "/api/v1/chatroom/<chatroom_id>/export"
    for line in (listed, exported):
        assert (line["method"], line["status"], line["user_id"]) == ("GET", 200, me["id"])
        assert line["milliseconds"] > 0
        assert PROMPT.split()[1] not in json.dumps(line)


def test_line_of_the_worker_has_the_id_of_the_request(stack: Stack, person: ApiUser) -> None:
    reply = person.send(person.open_room(), "Hello", headers={"X-Request-ID": "send.1"})
    person.reply(reply)
    [own] = {
        line["request_id"] for line in lines(stack) if line.get("client_request_id") == "send.1"
    }

    def of_worker() -> list[str]:
        return [
            line["event"]
            for line in lines(stack)
            if line["request_id"] == own and line["logger"] == "messaging.replies.finish"
        ]

    eventually(lambda: of_worker() == [f"Reply {reply} is complete"], seconds=10)


def test_failures_of_vendors_leave_no_secret(
    stack: Stack, person: ApiUser, secrets: dict[str, str], gemini_server: FakeGemini
) -> None:
    room = person.open_room()
    gemini_server.script(Answer(status=400, error_message=f"{GEMINI_KEY} {PROMPT}"))
    person.reply(person.send(room, PROMPT))
    person.reply(person.send(room, directive(Answer.bad_key())))
    paying = person.session.post(f"{person.url}/subscription/subscribe/pro", json={}, timeout=30)

    assert paying.status_code == 503
    assert_unseen(secrets, stack)


def test_crash_leaves_its_traceback_and_no_secret(
    stack: Stack, person: ApiUser, secrets: dict[str, str], stack_stores: dict[str, str]
) -> None:
    with refusing_rows(stack_stores, "accounts_user"):
        crashed = person.session.patch(
            f"{person.url}/user/me",
            json={"name": "Zed"},
            headers={"X-Request-ID": "crash.1"},
            timeout=10,
        )

    def reports() -> list[dict[str, Any]]:
        return [
            line
            for line in lines(stack)
            if line.get("client_request_id") == "crash.1" and "exception" in line
        ]

    eventually(reports, seconds=10)
    [line] = reports()
    assert (crashed.status_code, crashed.json()["code"]) == (500, "server_error")
    assert "Traceback" not in crashed.text
    assert_unseen(secrets, stack)
    assert "IntegrityError" in line["exception"]
    assert "Failing row contains [redacted]" in line["exception"]

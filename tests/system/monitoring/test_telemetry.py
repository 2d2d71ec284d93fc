"""Sentry and OpenTelemetry: what reaches them; without settings they cost nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from tests.support.fakes.collector import FakeCollector
from tests.support.fakes.wire import Wire
from tests.support.stack.api_client import ApiUser
from tests.support.stack.start import EVERY_PART
from tests.support.stack.stores import Wires, refusing_rows
from tests.support.waiting import eventually

PROMPT = "a word of mine that is nobody's business"
QUERY = "what-i-looked-for"
AGENT = "somebody's own browser"

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("telemetry")


@pytest.fixture(scope="module")
def collector() -> Iterator[FakeCollector]:
    with FakeCollector() as fake:
        yield fake


@pytest.fixture(scope="module")
def stack(
    make_stack: Callable[..., Stack], wired_stores: dict[str, str], collector: FakeCollector
) -> Iterator[Stack]:
    with make_stack(
        parts=EVERY_PART,
        **wired_stores,
        SENTRY_DSN=collector.dsn,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="200",
        REPLY_SWEEP_SECONDS="1",
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def person(stack: Stack) -> ApiUser:
    person = ApiUser(stack.url).sign_in()
    person.session.headers["User-Agent"] = AGENT
    return person


def assert_nobody_is_told_of(person: ApiUser, collector: FakeCollector) -> None:
    token = person.session.headers["Authorization"].partition(" ")[2]
    address = person.session.headers["X-Forwarded-For"]
    received = "\n".join(collector.received)
    assert received
    for secret in (PROMPT, QUERY, AGENT, token, address, person.mobile, person.mobile[3:]):
        assert secret not in received


def test_trace_goes_from_web_to_worker(
    stack: Stack, person: ApiUser, collector: FakeCollector
) -> None:
    reply = person.send(person.open_room(), PROMPT)
    person.reply(reply)
    person.get(f"chatroom/?q={QUERY}")

    def traces(service: str, name: str) -> set[str]:
        return {
            span.trace_id
            for span in collector.spans
            if span.service == service and name in span.name
        }

    def met() -> set[str]:
        sent = traces("gemchat-web", "POST api/v1/message/chatroom")
        return sent & traces("gemchat-worker", "generate_reply")

    eventually(lambda: len(met()) == 1, seconds=20)
    eventually(lambda: bool(traces("gemchat-beat", "sweep_replies")), seconds=20)
    eventually(lambda: bool(traces("gemchat-web", "GET api/v1/chatroom")), seconds=20)
    assert not traces("gemchat-web", "livez")
    assert_nobody_is_told_of(person, collector)


def test_crash_is_reported_without_the_person(
    stack: Stack, person: ApiUser, collector: FakeCollector, stack_stores: dict[str, str]
) -> None:
    with refusing_rows(stack_stores, "accounts_user"):
        crashed = person.session.patch(
            f"{person.url}/user/me?q={QUERY}",
            json={"name": PROMPT},
            headers={"X-Request-ID": "crash.2"},
            timeout=10,
        )

    def reports() -> list[dict]:
        return [
            error
            for error in collector.errors
            if error["tags"].get("client_request_id") == "crash.2"
        ]

    eventually(lambda: bool(reports()), seconds=20)
    assert crashed.status_code == 500
    report = reports()[0]
    assert report["exception"]["values"][-1]["type"] == "IntegrityError"
    assert report["tags"]["process"] == "web"
    assert "user" not in report and "request" not in report
    assert_nobody_is_told_of(person, collector)


def test_failed_task_is_reported_by_the_worker(
    stack: Stack, person: ApiUser, collector: FakeCollector, wires: Wires
) -> None:
    # The sweep, which comes each second, finds no database.
    wires.database.fault = Wire.DOWN

    def reports() -> list[dict]:
        return [
            error
            for error in collector.errors
            if error["tags"].get("process") == "worker" and "exception" in error
        ]

    assert eventually(reports, seconds=40)
    wires.database.fault = None


@pytest.mark.parametrize("module", ["gemchat.asgi", "gemchat.celery.worker"])
def test_libraries_are_not_imported_unless_asked_for(module: str) -> None:
    # (redis-py imports the SDK's metrics by itself wherever they are installed.)
    libraries = ("sentry_sdk", "opentelemetry.exporter", "opentelemetry.instrumentation")
    program = (
        f"import django, sys; django.setup(); import {module};"
        f"print(*(name for name in sys.modules if name.startswith({libraries})))"
    )

    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "gemchat.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert told.stdout.strip() == ""

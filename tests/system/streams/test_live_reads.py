"""One person's streams neither shut others out nor outlive the session."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from socket import socket
from typing import Any

import pytest
import requests

from dev.servers.stack import Stack
from tests.support.fakes.wire import Wire
from tests.support.stack.api_client import ApiUser
from tests.support.stack.stores import Wires
from tests.support.waiting import eventually, in_background
from tests.system.monitoring.test_metrics import TOKEN, web
from tests.system.outages.test_slow_clients import connected, head

CONNECTIONS, OF_SESSION, OF_USER = 64, 8, 12
LIVE = CONNECTIONS * 3 // 4

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("live_reads")


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], wired_stores: dict[str, str]) -> Iterator[Stack]:
    with make_stack(
        parts=["web"],
        **wired_stores,
        WEB_CONNECTIONS=str(CONNECTIONS),
        LIVE_READS_PER_SESSION=str(OF_SESSION),
        LIVE_READS_PER_USER=str(OF_USER),
        METRICS_TOKEN=TOKEN,
    ) as stack:
        yield stack


@pytest.fixture
def opened(stack: Stack) -> Iterator[ExitStack]:
    """Takes connections, which are closed at the end, and waits until the server has noticed."""
    with ExitStack() as opened:
        yield opened
    eventually(lambda: web(stack)("gemchat_live_reads") == 0, seconds=20)


class Reader(ApiUser):
    """A person with a reply without a worker: the streams stay open and silent."""

    def sign_in(self) -> "Reader":
        super().sign_in()
        self.path = f"/api/v1/message/{self.send(self.open_room(), 'Hello')}/stream"
        return self

    def open_stream(self, stack: Stack, opened: ExitStack) -> "Stream":
        return Stream(stack, opened, self.path, self.session.headers["Authorization"])


class Stream:
    """A live read over a connection; its head has come."""

    def __init__(self, stack: Stack, opened: ExitStack, path: str, token: Any) -> None:
        self.connection: socket = opened.enter_context(connected(stack))
        self.connection.sendall(head(path, Authorization=token))
        self.answer = b""
        while b"\r\n\r\n" not in self.answer:
            part = self.connection.recv(65_536)
            assert part, "the connection was closed without an answer"
            self.answer += part

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ")[1])

    @property
    def problem(self) -> Any:
        return json.loads(self.rest().partition(b"\r\n\r\n")[2])

    def rest(self) -> bytes:
        """All of the answer, as soon as the server has ended it."""
        while b"\r\n0\r\n\r\n" not in self.answer and (more := self.connection.recv(65_536)):
            self.answer += more
        return self.answer


def test_streams_of_one_token_leave_the_others_served(stack: Stack, opened: ExitStack) -> None:
    attacker, other = Reader(stack.url).sign_in(), Reader(stack.url).sign_in()

    streams = []
    for _ in range(CONNECTIONS + 20):
        streams.append(attacker.open_stream(stack, opened))
        assert other.get("user/me")["mobile"] == other.mobile

    refused = [stream for stream in streams if stream.status != 200]
    assert len(streams) - len(refused) == OF_SESSION
    assert {stream.status for stream in refused} == {429}
    assert refused[0].problem["code"] == "rate_limited"
    assert f"A session may have {OF_SESSION}" in refused[0].problem["detail"]
    assert b"\r\nretry-after: " in refused[0].answer.lower()
    assert other.open_stream(stack, opened).status == 200
    assert web(stack)("gemchat_live_reads_refused_total", limit="session") >= len(refused)


def test_sessions_of_one_person_share_a_limit(stack: Stack, opened: ExitStack) -> None:
    first = Reader(stack.url).sign_in()
    second = ApiUser(stack.url, first.mobile)
    second.session.headers["X-Forwarded-For"] = "10.77.0.1"
    otp = eventually(lambda: second.post("auth/send-otp", {"mobile": first.mobile})["data"]["otp"])
    tokens = second.post("auth/verify-otp", {"mobile": first.mobile, "otp": otp})
    token = f"Bearer {tokens['access_token']}"

    streams = [first.open_stream(stack, opened) for _ in range(OF_SESSION)]
    streams += [Stream(stack, opened, first.path, token) for _ in range(OF_SESSION)]

    assert [stream.status for stream in streams] == [200] * OF_USER + [429] * (
        2 * OF_SESSION - OF_USER
    )
    assert f"A user may have {OF_USER}" in streams[-1].problem["detail"]


def test_connections_are_kept_free_for_what_is_no_live_read(
    stack: Stack, opened: ExitStack
) -> None:
    readers = [Reader(stack.url).sign_in() for _ in range(LIVE // OF_SESSION + 1)]

    streams = [
        reader.open_stream(stack, opened) for reader in readers[:-1] for _ in range(OF_SESSION)
    ]
    refused = readers[-1].open_stream(stack, opened)

    assert {stream.status for stream in streams} == {200}
    assert (refused.status, refused.problem["code"]) == (503, "overloaded")
    assert b"\r\nretry-after: " in refused.answer.lower()
    assert readers[-1].get("user/me")
    assert web(stack)("gemchat_live_reads") == LIVE


def test_crowded_process_is_alive_and_not_ready(stack: Stack, opened: ExitStack) -> None:
    for _ in range(CONNECTIONS + 5):
        opened.enter_context(connected(stack))

    def ready() -> requests.Response:
        return requests.get(f"{stack.url}/readyz", timeout=10)

    eventually(lambda: ready().status_code == 503)
    alive, not_ready = requests.get(f"{stack.url}/livez", timeout=10), ready()

    assert alive.status_code == 200
    assert not_ready.json() == {
        "status": "degraded",
        "database": "connected",
        "connections": "crowded",
    }
    opened.close()
    eventually(lambda: ready().json() == {"status": "ok", "database": "connected"}, seconds=20)


def test_live_reads_end_with_the_session_and_not_with_the_database(
    stack: Stack, wires: Wires, opened: ExitStack
) -> None:
    leaver, stayer = Reader(stack.url).sign_in(), Reader(stack.url).sign_in()
    ended, open_on = leaver.open_stream(stack, opened), stayer.open_stream(stack, opened)
    wires.database.fault = Wire.DOWN
    log: Any = stack.output
    eventually(lambda: any("Sessions of live reads are not" in line for line in log), seconds=40)
    wires.database.fault = None
    eventually(lambda: stayer.session.get(f"{stayer.url}/user/me", timeout=10).ok, seconds=20)
    waiting_path = leaver.path.removesuffix("/stream") + "?wait=30"
    waiting = in_background(
        lambda: leaver.session.get(f"{stack.url}{waiting_path}", timeout=40, headers={})
    )
    eventually(lambda: web(stack)("gemchat_live_reads") == 3)
    for stream in (ended, open_on):
        stream.connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            assert ended.connection.recv(65_536), "the outage of the database ended the stream"
    for stream in (ended, open_on):
        stream.connection.settimeout(40)

    assert leaver.session.post(f"{leaver.url}/auth/logout", timeout=40).ok

    assert b"reply." not in ended.rest()
    assert ended.answer.endswith(b"\r\n0\r\n\r\n")
    found = waiting.result(40)
    assert found.status_code == 401, (found.status_code, found.headers, found.text)
    assert web(stack)("gemchat_live_reads") == 1
    assert open_on.connection.recv(65_536).endswith(b": ping\n\n\r\n")

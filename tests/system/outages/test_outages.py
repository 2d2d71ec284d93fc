"""PostgreSQL and Redis go away and come back while people chat; nobody loses a prompt."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser
from tests.support.stack.processes import Log, free_port, frozen
from tests.support.waiting import eventually

ANSWER = Answer(chunks=["One ", "two ", "three ", "four ", "five."], chunk_delay=0.3)
WHOLE = "One two three four five."

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("outages")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, gemini_server: FakeGemini) -> Iterator[Stack]:
    """A stack with separate servers, which the stack can lose."""
    environ = {
        **os.environ,
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "DEBUG": "true",
        "OTP_ECHO": "true",
        "TRUSTED_PROXY_COUNT": "1",
        "GOOGLE_API_KEY": "test-key",
        "GEMINI_API_BASE": gemini_server.url,
        "BASIC_DAILY_LIMIT": "1000",
        "BASIC_SENDS_PER_MINUTE": "1000",
        "BASIC_WAITING_REPLIES": "1000",
        "BASIC_CHATROOMS": "1000",
        "BASIC_CHATROOMS_PER_MINUTE": "1000",
        "BASIC_CONCURRENT_REPLIES": "3",
        "REPLY_LEASE_SECONDS": "6",
        "REPLY_SWEEP_SECONDS": "2",
        "WEB_STATEMENT_SECONDS": "4",
    }
    with Stack(
        var=tmp_path_factory.mktemp("var"),
        environ=environ,
        port=free_port(),
        output=Log(),
    ) as stack:
        yield stack


def test_broker_down_keeps_the_prompt_and_answers_it_later(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room()

    stack.servers["Valkey"].stop()
    reply = person.send(room, directive(ANSWER))
    kept = person.get(f"chatroom/{room}")["messages"]
    newcomer = ApiUser(stack.url).sign_in()
    health = requests.get(f"{stack.url}/api/v1/health", timeout=5)
    alive = requests.get(f"{stack.url}/livez", timeout=5)
    stack.servers["Valkey"].start_again()

    assert newcomer.get("user/me")["mobile"] == newcomer.mobile
    assert [message["status"] for message in kept] == ["complete", "queued"]
    assert (health.status_code, health.json()["redis"]) == (503, "disconnected")
    assert alive.status_code == 200
    assert person.reply(reply)["content"] == WHOLE


def test_hung_redis_holds_nobody_up_for_long(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room()

    with frozen(stack.servers["Valkey"].process.pid):
        reply = person.send(room, directive(ANSWER))
        kept = person.get(f"chatroom/{room}")["messages"]
        assert person.get("chatroom/")
        assert ApiUser(stack.url).sign_in().open_room()
        assert person.get(f"message/{reply}?wait=1")["status"] == "queued"

    assert [message["status"] for message in kept] == ["complete", "queued"]
    assert person.reply(reply)["content"] == WHOLE


def test_hung_database_is_a_problem_and_heals(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    room = person.open_room()
    reply = person.send(room, "Hello")
    person.reply(reply)
    paths = ["user/me", f"message/{reply}/stream", f"message/{reply}?wait=1"]
    paths += [f"chatroom/{room}/export", "subscription/status"]

    with frozen(stack.servers["PostgreSQL"].process.pid), ThreadPoolExecutor(5) as threads:
        answers = list(
            threads.map(lambda path: person.session.get(f"{person.url}/{path}", timeout=40), paths)
        )

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        assert "Traceback" not in answer.text
    eventually(lambda: person.session.get(f"{person.url}/user/me", timeout=20).ok, seconds=20)
    assert person.reply(person.send(room, directive(ANSWER)))["content"] == WHOLE


def test_redis_restarted_in_mid_reply_loses_nothing(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    rooms = [person.open_room() for _ in range(3)]
    replies = [person.send(room, directive(ANSWER)) for room in rooms]
    events = person.stream(replies[0])
    seen = [next(events)]

    stack.servers["Valkey"].stop()
    stack.servers["Valkey"].start_again()
    seen += list(events)

    assert {person.reply(reply)["content"] for reply in replies} == {WHOLE}
    assert seen[-1].name == "reply.completed"
    assert "".join(e.body["text"] for e in seen if e.name == "reply.delta") == WHOLE
    assert person.get("subscription/status")["daily_usage"] == 3


def test_database_restarted_in_mid_reply_loses_nothing(stack: Stack) -> None:
    person = ApiUser(stack.url).sign_in()
    rooms = [person.open_room() for _ in range(4)]
    replies = [person.send(room, directive(ANSWER)) for room in rooms]
    stream = person.stream(replies[0])
    seen = [next(stream)]

    stack.servers["PostgreSQL"].stop()
    down = person.session.get(f"{person.url}/user/me", timeout=20)
    live = person.session.get(f"{person.url}/message/{replies[1]}/stream", timeout=20)
    health = requests.get(f"{stack.url}/api/v1/health", timeout=5)
    stack.servers["PostgreSQL"].start_again()
    seen += list(stream)
    eventually(lambda: person.session.get(f"{person.url}/user/me", timeout=20).ok, seconds=20)
    after = [person.session.get(f"{person.url}/user/me", timeout=20) for _ in range(40)]

    for answer in (down, live):
        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    assert (health.status_code, health.json()["database"]) == (503, "disconnected")
    assert {answer.status_code for answer in after} == {200}
    assert seen[-1].name == "reply.completed"
    assert seen[-1].body["content"] == WHOLE
    assert {person.reply(reply)["content"] for reply in replies} == {WHOLE}
    assert person.get("subscription/status")["daily_usage"] == 4

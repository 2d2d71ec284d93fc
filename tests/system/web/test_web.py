"""The web process: bodies are taken in whole and bounded before a thread serves them."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from dev.bench.support.usage import peak_bytes, reset_peak
from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("web")


@pytest.fixture(scope="module")
def gemini_environment(gemini_server: FakeGemini) -> dict[str, str]:
    return {"GOOGLE_API_KEY": "test-key", "GEMINI_API_BASE": gemini_server.url}


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], gemini_environment: dict[str, str]) -> Iterator[Stack]:
    bounds = {"WEB_THREADS": "4", "WEB_STATEMENT_SECONDS": "2", "WEB_LOCK_SECONDS": "1"}
    with make_stack(parts=["web", "worker"], **bounds, **gemini_environment) as stack:
        yield stack


@pytest.fixture(scope="module")
def second_stack(
    make_stack: Callable[..., Stack], gemini_environment: dict[str, str]
) -> Iterator[Stack]:
    with make_stack(parts=["web"], **gemini_environment) as second:
        yield second


@pytest.fixture
def ending(second_stack: Stack) -> Iterator[Stack]:
    """A stack for tests that end the web process."""
    if second_stack.processes["web"].poll() is not None:
        second_stack.restart("web")
    yield second_stack
    second_stack.processes["web"].wait(15)


@pytest.fixture(scope="module")
def person(stack: Stack) -> ApiUser:
    return ApiUser(stack.url).sign_in()


def chunked(size: int) -> Iterator[bytes]:
    for _ in range(size // 1024):
        yield b"x" * 1024


def test_chunked_body_is_read(person: ApiUser) -> None:
    body = json.dumps({"title": "In chunks"}).encode()

    answer = person.session.post(
        f"{person.url}/chatroom/",
        data=iter([body[:5], body[5:]]),
        headers={"Content-Type": "application/json"},
        timeout=10,
    )

    assert (answer.status_code, answer.json()["title"]) == (201, "In chunks")


@pytest.mark.parametrize("form", ["declared", "chunked"])
def test_body_over_the_limit_is_refused_as_a_problem(form: str, person: ApiUser) -> None:
    size = 300 * 1024
    body = b"x" * size if form == "declared" else chunked(size)

    answer = person.session.post(
        f"{person.url}/chatroom/",
        data=body,
        headers={"Content-Type": "application/json", "X-Request-ID": "large.1"},
        timeout=10,
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == "large.1"


def test_ten_megabytes_are_refused_before_they_are_sent(stack: Stack) -> None:
    with connected(stack) as client:
        client.sendall(
            b"POST /api/v1/chatroom/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 10485760\r\nContent-Type: application/json\r\n\r\n{"
        )

        assert b" 413 " in client.recv(200)


def test_endless_bodies_take_no_memory(stack: Stack) -> None:
    """Twenty clients that would send 64 MB each, in chunks, without a declared length."""
    web = stack.processes["web"].pid
    reset_peak(web)
    before = peak_bytes(web)

    with ThreadPoolExecutor(20) as threads:
        sent = list(threads.map(lambda _: send_without_end(stack), range(20)))

    assert max(sent) < 64 * 1024
    assert peak_bytes(web) - before < 32 * 1024 * 1024


def send_without_end(stack: Stack) -> int:
    """How many chunks of a KiB were sent before the server closed the connection."""
    with connected(stack) as client:
        client.sendall(
            b"POST /api/v1/chatroom/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
        )
        for count in range(64 * 1024):
            try:
                client.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
            except ConnectionError:
                return count
    return 64 * 1024


def test_slow_clients_hold_no_thread(stack: Stack, person: ApiUser) -> None:
    """Fifty clients that send a byte now and then, on a server with four threads."""
    slow = [connected(stack) for _ in range(50)]
    for client in slow:
        client.sendall(
            b"POST /api/v1/chatroom/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: person.get("user/me"), range(40)))

    assert len(answers) == 40
    for client in slow:
        client.close()


def test_body_that_does_not_arrive_is_timed_out(stack: Stack) -> None:
    with connected(stack) as client:
        client.sendall(
            b"POST /api/v1/chatroom/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        )
        client.settimeout(30)

        assert b" 408 " in client.recv(200)


def test_shutdown_ends_open_streams_at_once(ending: Stack, stack: Stack) -> None:
    """The client goes on where it was, at another web process."""
    person = ApiUser(ending.url).sign_in()
    reply = person.send(person.open_room(), directive(Answer(chunks=["So"], ending="hang")))
    stream = person.stream(reply)
    first = next(stream)

    ending.processes["web"].terminate()
    started = time.monotonic()
    rest = list(stream)
    took = time.monotonic() - started
    person.url = f"{stack.url}/api/v1"
    person.post(f"message/{reply}/stop")
    resumed = list(person.stream(reply, after=first.id))

    assert rest == []
    assert took < 4
    assert [event.name for event in resumed] == ["reply.stopped"]
    assert resumed[0].body["content"] == first.body["text"] == "So"


def test_stream_over_a_shutdown_joins_to_the_same_bytes(
    ending: Stack, stack: Stack, gemini_server: FakeGemini
) -> None:
    answer = Answer(chunks=["Zwölf ", "👩‍👩‍👧‍👦", " e\u0301", "\r\n", "end"] * 4, gate="shutdown")
    person = ApiUser(ending.url).sign_in()
    reply = person.send(person.open_room(), directive(answer))
    stream = person.stream(reply)
    seen = [next(stream)]
    gemini_server.allow("shutdown", 2)
    seen.append(next(stream))

    ending.processes["web"].terminate()
    seen += list(stream)
    assert seen[-1].name == "reply.delta"
    gemini_server.open("shutdown")
    seen += list(person.stream(reply, after=seen[-1].id, url=stack.url))

    assert seen[-1].name == "reply.completed"
    texts = [event.body["text"] for event in seen if event.name == "reply.delta"]
    assert "".join(texts).encode() == "".join(answer.chunks).encode()


def test_shutdown_answers_what_is_under_way_and_takes_nothing_new(
    ending: Stack, stack_stores: dict[str, str]
) -> None:
    person = ApiUser(ending.url).sign_in()

    with locked_chatrooms(stack_stores) as lock, ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(person.open_room)
        eventually(lambda: is_waited_for(lock), seconds=10)
        ending.processes["web"].terminate()
        eventually(lambda: not takes_connections(ending), seconds=10)
        lock.rollback()

        assert under_way.result()
    assert ending.processes["web"].wait(10) is not None


def test_wait_for_a_lock_ends_as_a_problem(
    stack: Stack, person: ApiUser, stack_stores: dict[str, str]
) -> None:
    with locked_chatrooms(stack_stores):
        answer = person.session.post(f"{person.url}/chatroom/", json={}, timeout=20)

    assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert person.open_room()


def test_statement_that_takes_too_long_ends_as_a_problem(
    person: ApiUser, stack_stores: dict[str, str]
) -> None:
    with psycopg.connect(stack_stores["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
        )
        connection.execute(
            "CREATE TRIGGER sleep BEFORE INSERT ON chatrooms_chatroom"
            " FOR EACH ROW EXECUTE FUNCTION sleep()"
        )
        answer = person.session.post(f"{person.url}/chatroom/", json={}, timeout=20)
        connection.execute("DROP FUNCTION sleep CASCADE")

    assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
    assert person.open_room()


def test_plan_that_is_kept_reads_no_table_whole(
    person: ApiUser, stack_stores: dict[str, str]
) -> None:
    """A plan may come from a smaller table; thousands of rows come a minute."""
    with psycopg.connect(stack_stores["DATABASE_URL"], autocommit=True) as connection:
        # PostgreSQL now knows the small size, and plans again.
        connection.execute("ANALYZE accounts_session, accounts_user")

        def looks() -> int:
            return connection.execute(
                "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'accounts_session'"
            ).fetchone()[0]  # type: ignore[index]

        before = looks()
        for _ in range(20):
            person.get("user/me")

        eventually(lambda: looks() >= before + 20)


@contextmanager
def locked_chatrooms(stores: dict[str, str]) -> Iterator[psycopg.Connection]:
    """In the block nobody else can write to that table, until a rollback."""
    with psycopg.connect(stores["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE chatrooms_chatroom IN EXCLUSIVE MODE")
        yield connection
        connection.rollback()


def is_waited_for(lock: psycopg.Connection) -> bool:
    waiting = lock.execute(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'chatrooms_chatroom'::regclass"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return waiting.fetchone() is not None


def takes_connections(stack: Stack) -> bool:
    try:
        connected(stack).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("path", ["api/v1/nowhere", "api/v1/chatroom/x/y", "api/"])
def test_unknown_url_is_a_problem(path: str, stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/{path}", timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["Content-Type"] == "application/problem+json"


def connected(stack: Stack) -> socket.socket:
    address = urlsplit(stack.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)

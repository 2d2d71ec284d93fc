"""A thousand idle clients and fifty slow ones do not stop the others."""

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
import requests

from dev.servers.stack import Stack
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually

IDLE, SLOW = 1000, 50
THREADS = 4

# One stack serves them all.
pytestmark = pytest.mark.xdist_group("slow")


@pytest.fixture(scope="module", autouse=True)
def enough_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack]) -> Iterator[Stack]:
    with make_stack(
        parts=["web"],
        WEB_THREADS=str(THREADS),
        WEB_CONNECTIONS="1200",
        BASIC_DAILY_LIMIT="99",
        BASIC_SENDS_PER_MINUTE="1000",
        BASIC_WAITING_REPLIES="1000",
        BASIC_CHATROOMS_PER_MINUTE="1000",
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def person(stack: Stack) -> ApiUser:
    return ApiUser(stack.url).sign_in()


def connected(stack: Stack) -> socket.socket:
    address = urlsplit(stack.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def head(path: str = "/livez", **headers: object) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


@contextmanager
def a_byte_a_second(clients: list[socket.socket], text: bytes) -> Iterator[None]:
    """Each of the clients sends the text like that, until the block is left."""
    is_over = threading.Event()

    def send() -> None:
        for byte in text:
            for client in clients:
                with suppress(OSError):  # The server may close it.
                    client.sendall(bytes([byte]))
            if is_over.wait(1):
                return

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        is_over.set()
        sending.join()


def answer_of(client: socket.socket) -> bytes:
    answer = b""
    with suppress(ConnectionResetError):
        while some := client.recv(65536):
            answer += some
    return answer


def problem_of(answer: bytes) -> dict[str, object]:
    raw_head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in raw_head.lower()
    return json.loads(body)


def test_idle_and_slow_clients_do_not_stop_the_others(stack: Stack, person: ApiUser) -> None:
    body = (
        b"POST /api/v1/chatroom/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        b"Content-Type: application/json\r\n\r\n"
    )
    with ExitStack() as opened:
        clients = [opened.enter_context(connected(stack)) for _ in range(IDLE + 2 * SLOW)]
        in_heads, in_bodies = clients[:SLOW], clients[SLOW : 2 * SLOW]
        for client in in_bodies:
            client.sendall(body)
        opened.enter_context(a_byte_a_second(in_heads, head(X_Long="x" * 500)))
        opened.enter_context(a_byte_a_second(in_bodies, b"{" * 100))

        started = time.monotonic()
        for number in range(40):
            assert person.get("user/me")["mobile"] == person.mobile
            assert person.open_room(f"Room {number}")

        # Half a second in all where the machine does nothing else.
        assert time.monotonic() - started < 30
        for client in in_heads:
            assert problem_of(answer_of(client))["code"] == "request_timeout"
        for client in clients[2 * SLOW :]:
            assert answer_of(client) == b""


def test_clients_that_do_not_read_hold_no_thread(stack: Stack, person: ApiUser) -> None:
    """Twelve answers of megabytes, more than the kernel takes, to clients that take nothing."""
    room = person.open_room()
    for _ in range(50):
        person.send(room, "\N{SNOWMAN}" * 32_000)
    token = person.session.headers["Authorization"]
    request = head(f"/api/v1/message/chatroom/{room}/message?limit=100", Authorization=token)
    with ExitStack() as opened:
        for _ in range(3 * THREADS):
            client = opened.enter_context(small_window(stack))
            client.sendall(request)

        for _ in range(20):
            assert person.get("user/me")["mobile"] == person.mobile


def small_window(stack: Stack) -> socket.socket:
    address = urlsplit(stack.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect((address.hostname, address.port))
    return client


def test_connections_beyond_the_bound_are_told_so(stack: Stack, person: ApiUser) -> None:
    with ExitStack() as opened:
        for _ in range(1205):
            opened.enter_context(connected(stack))

        def answer() -> requests.Response:
            return person.session.get(f"{person.url}/user/me", timeout=10)

        # The server comes to know of them one by one.
        eventually(lambda: answer().status_code == 503, seconds=10)
        refused = answer()
        alive = requests.get(f"{stack.url}/livez", timeout=10)

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["Retry-After"]) > 0
    assert alive.status_code == 200
    eventually(lambda: answer().ok, seconds=20)


def test_endless_head_is_refused(stack: Stack) -> None:
    with connected(stack) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with suppress(ConnectionError):
            for _ in range(20):
                client.sendall(b"x" * 8192)

        assert b" 431 " in answer_of(client)[:200]


def test_endless_head_behind_a_stream_ends_it(stack: Stack, person: ApiUser) -> None:
    """The head of a second request, sent before the end of the first answer."""
    reply = person.send(person.open_room(), "Hello")
    token = person.session.headers["Authorization"]
    with connected(stack) as client:
        client.sendall(head(f"/api/v1/message/{reply}/stream", Authorization=token))
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with pytest.raises(ConnectionError):
            for _ in range(4_000):
                client.sendall(b"x" * 8192)


def test_nonsense_is_a_problem(stack: Stack) -> None:
    with connected(stack) as client:
        client.sendall(b"NONSENSE\r\n\r\n")

        assert problem_of(answer_of(client))["status"] == 400

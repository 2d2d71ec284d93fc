"""The running web process: requests that reach no view, and answers of async views."""

import json
import socket
import uuid
from urllib.parse import urlsplit

import pytest
import requests

from dev.servers.stack import Stack
from tests.support.stack.api_client import ApiUser
from tests.support.stack.start import ORIGIN

pytestmark = pytest.mark.xdist_group("shared_stack")

EVIL = "https://evil.example"
NOBODY = uuid.UUID("01a20791-51b6-758c-a99f-add8631b2fd9")
LIVE = [
    f"/api/v1/message/{NOBODY}/stream",
    f"/api/v1/message/{NOBODY}/stream/",
    f"/api/v1/message/{NOBODY}?wait=1",
    f"/api/v1/chatroom/{NOBODY}/export",
]
WORLDS = ["/api/v1/user/me", *LIVE]


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    return shared_stack


@pytest.fixture(scope="module")
def person(stack: Stack) -> ApiUser:
    return ApiUser(stack.url).sign_in()


def ask(stack: Stack, method: str, path: str, **headers: str) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return session.request(method, f"{stack.url}{path}", headers=named, timeout=20)


def raw(stack: Stack, request: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to bytes that no client library would send."""
    return _exchange(stack, request)[::2]


def raw_head(stack: Stack, request: bytes) -> tuple[int, bytes]:
    """Status and head of the same."""
    return _exchange(stack, request)[:2]


def _exchange(stack: Stack, request: bytes) -> tuple[int, bytes, bytes]:
    url = urlsplit(stack.url)
    with socket.create_connection((url.hostname, url.port), timeout=20) as client:
        client.sendall(request)
        answer = b""
        while part := client.recv(65_536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head, body


def assert_problem(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]


@pytest.mark.parametrize("path", WORLDS)
def test_both_worlds_bind_the_browser(path: str, stack: Stack) -> None:
    answer = ask(stack, "GET", path, X_Forwarded_Proto="https")

    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]


@pytest.mark.parametrize("path", ["/static/style.css", "/static/docs/redoc.js"])
def test_static_files_bind_the_browser_and_are_of_this_origin(path: str, stack: Stack) -> None:
    answer = ask(stack, "GET", path, Origin=EVIL)

    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", WORLDS)
def test_allowed_origin_reads_both_worlds(path: str, stack: Stack) -> None:
    answer = ask(stack, "GET", path, Origin=ORIGIN)

    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("path", "origin"), [*((path, EVIL) for path in WORLDS), (LIVE[0], "null")]
)
def test_other_origin_reads_nothing(path: str, origin: str, stack: Stack) -> None:
    for method in ("GET", "OPTIONS"):
        answer = ask(stack, method, path, Origin=origin, Access_Control_Request_Method="GET")

        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", WORLDS)
def test_preflight_of_both_worlds_needs_no_token(path: str, stack: Stack) -> None:
    answer = ask(stack, "OPTIONS", path, Origin=ORIGIN, Access_Control_Request_Method="GET")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "last-event-id" in answer.headers["Access-Control-Allow-Headers"]


def test_page_of_an_allowed_origin_can_read_that_its_body_was_too_large(stack: Stack) -> None:
    size = 10 * 1024 * 1024
    status, body = raw(
        stack,
        b"POST /api/v1/chatroom/ HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: large.1\r\n"
        b"Origin: %s\r\nContent-Length: %d\r\n\r\n" % (ORIGIN.encode(), size),
    )
    answer = requests.post(
        f"{stack.url}/api/v1/chatroom/",
        data=(b"x" * 1024 for _ in range(300)),
        headers={"Origin": ORIGIN},
        timeout=20,
    )

    assert (status, json.loads(body)["request_id"]) == (413, "large.1")
    assert_problem(answer, 413, "body_too_large")
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/admin/login/", "/nothing", *WORLDS])
def test_bad_host_is_refused_in_both_worlds(path: str, stack: Stack) -> None:
    assert_problem(ask(stack, "GET", path, Host="evil.example"), 400, "invalid_host")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, LIVE[0]) for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS")),
        *(("POST", path) for path in LIVE[1:]),
    ],
)
def test_live_views_are_read_alone(method: str, path: str, stack: Stack) -> None:
    answer = ask(stack, method, path)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == ("GET, HEAD" if "wait" in path else "GET")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "accept"),
    [(LIVE[0], "application/json"), (LIVE[2], "text/event-stream"), (LIVE[3], "image/png")],
)
def test_live_views_have_one_form(path: str, accept: str, person: ApiUser, stack: Stack) -> None:
    answer = ask(stack, "GET", path, **{**person.session.headers, "Accept": accept})

    assert_problem(answer, 406, "not_acceptable")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/v1/message/{NOBODY}?wait=31", 422),
        (f"/api/v1/message/{NOBODY}?wait=-1", 422),
        (f"/api/v1/message/{NOBODY}?wait=", 422),
        (f"/api/v1/message/{NOBODY}?wait=%00", 422),
        (f"/api/v1/message/{NOBODY}?wait={'0' * 5_000}", 422),
        (f"/api/v1/message/{NOBODY}?wait={'9' * 5_000}", 422),
        (f"/api/v1/message/{NOBODY}?wait=%D9%A1", 422),
        (f"/api/v1/message/{NOBODY}?wait=1&x=%FF", 400),
        (f"/api/v1/message/{NOBODY}?await=1", 404),
        (f"/api/v1/message/{NOBODY}/stream?last_event_id=x", 400),
        (f"/api/v1/message/{NOBODY}/stream?last_event_id=%00", 400),
        (f"/api/v1/message/{NOBODY}/stream?last_event_id={'9' * 5_000}-0", 400),
        (f"/api/v1/message/{NOBODY}/stream?x=%ED%A0%80", 400),
        (f"/api/v1/message/{NOBODY}/stream", 404),
        (f"/api/v1/chatroom/{NOBODY}/export?as=pdf", 422),
        (f"/api/v1/chatroom/{NOBODY}/export?as=%00", 422),
        (f"/api/v1/chatroom/{NOBODY}/export?as=%C3", 400),
        ("/api/v1/%FF", 400),
        ("/api/v1/a%00b", 400),
        ("/api/v1/%ED%A0%80", 400),
        ("/%C3", 400),
    ],
    ids=lambda value: str(value).rsplit("/", 1)[-1][-40:],
)
def test_odd_url_is_a_problem(path: str, status: int, person: ApiUser, stack: Stack) -> None:
    answer = ask(stack, "GET", path, **person.session.headers)

    assert_problem(answer, status, answer.json()["code"])


@pytest.mark.parametrize(
    ("path", "status"), [("/api/v1/chatroom/?q=caf%C3%A9", 200), (f"{LIVE[2]}&q=caf%C3%A9", 404)]
)
def test_charset_of_the_caller_decodes_nothing(
    path: str, status: int, person: ApiUser, stack: Stack
) -> None:
    for charset in ("hex", "zlib", "bz2", "rot13", "idna", "utf-16", "none"):
        content_type = f"application/json; CharSet={charset}; x=y"

        answer = ask(stack, "GET", path, Content_Type=content_type, **person.session.headers)

        assert answer.status_code == status, charset


@pytest.mark.parametrize("path", ["/livez", LIVE[0]])
def test_odd_request_id_is_replaced_in_both_worlds(path: str, stack: Stack) -> None:
    for given in ("a b", "x" * 10_000, "a\tb", "%0d%0aSet-Cookie:x", "é"):
        answer = ask(stack, "GET", path, X_Request_ID=given.encode("latin-1"))

        assert len(answer.headers["X-Request-ID"]) == 36, given


def test_line_break_in_a_request_id_breaks_nothing(stack: Stack) -> None:
    """Folded as HTTP once allowed it; either refused or read as one line."""
    status, body = raw(
        stack,
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"X-Request-ID: a\r\n Set-Cookie: b=c\r\n\r\n",
    )

    assert status in (400, 404)
    assert b"Set-Cookie" not in body


def test_header_with_underscores_does_not_pass_for_another(stack: Stack) -> None:
    """Proxies look after X-Forwarded-Proto; `X_Forwarded_Proto` is the caller's own."""
    answer = raw(
        stack,
        b"GET /api/v1/chatroom/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"X_Request_ID: forged\r\n\r\n",
    )

    assert json.loads(answer[1])["request_id"] != "forged"


@pytest.mark.parametrize("path", [LIVE[0], "/", "/api/v1/user/me"])
def test_websocket_is_not_found(path: str, stack: Stack) -> None:
    status, body = raw(
        stack,
        b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        % path.encode(),
    )

    assert (status, json.loads(body)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST /api/v1/chatroom/ HTTP/1.1\r\nContent-Length: 10485760\r\n", 413),
        (b"GET /api/v1/\xff HTTP/1.1\r\nX: \0\r\n", 400),
        (f"GET {LIVE[0]} HTTP/1.1\r\n".encode(), 401),
        (f"GET {LIVE[2]} HTTP/1.1\r\n".encode(), 401),
        (f"GET {LIVE[3]} HTTP/1.1\r\n".encode(), 401),
        (f"POST {LIVE[0]} HTTP/1.1\r\n".encode(), 405),
        (b"GET /api/v1/user/me/export/file?token=x HTTP/1.1\r\n", 403),
        (b"GET /web/nothing HTTP/1.1\r\n", 404),
        (b"GET /api/v1/health HTTP/1.1\r\n", 200),
    ],
    ids=lambda value: str(value)[:40],
)
def test_no_cache_keeps_what_the_web_process_answers(
    request_head: bytes, status: int, stack: Stack
) -> None:
    answered, head = raw_head(stack, request_head + b"Host: localhost\r\nConnection: close\r\n\r\n")

    assert answered == status
    assert b"\r\ncache-control: no-store\r\n" in head.lower() + b"\r\n"


def test_answer_to_http_1_0_is_not_chunked(person: ApiUser, stack: Stack) -> None:
    reply = person.send(person.open_room(), "Hello")
    bearer = f"Authorization: {person.session.headers['Authorization']}\r\n\r\n".encode()

    bodies = []
    for path in (f"message/{reply}/stream", "user/me", "nothing"):
        request = f"GET /api/v1/{path} HTTP/1.0\r\nHost: localhost\r\n".encode()
        _, head, body = _exchange(stack, request + bearer)
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        bodies.append(body)

    assert bodies[0].startswith((b"id: ", b": ", b"retry: "))
    assert bodies[0].endswith(b"\n\n")
    assert b"event: reply.completed\n" in bodies[0]
    assert json.loads(bodies[1])["mobile"] == person.mobile
    assert json.loads(bodies[2])["status"] == 404


def test_stream_is_neither_kept_nor_compressed(person: ApiUser, stack: Stack) -> None:
    reply = person.send(person.open_room(), "Hello")

    with person.session.get(
        f"{person.url}/message/{reply}/stream", stream=True, timeout=20
    ) as answer:
        assert answer.headers["Cache-Control"] == "no-store, no-transform"

"""What every answer carries for browsers, and which other origins may read it."""

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from gemchat.api.middleware import apply_header_middleware

ORIGIN, EVIL = "https://chat.example.com", "https://evil.example"
BINDING = [
    *["Content-Security-Policy", "Cross-Origin-Opener-Policy", "Permissions-Policy"],
    *["Referrer-Policy", "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options"],
]
PATHS = ["/livez", "/api/v1/user/me", "/nothing", "/admin/login/", "/billing/cancel", "/docs"]


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_binds_the_browser(path):
    answer = Client().get(path, secure=True)

    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert {policy[name] for name in ("base-uri", "object-src", "frame-ancestors")} == {"'none'"}
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]
    assert answer["Strict-Transport-Security"] == "max-age=31536000"


def test_answers_beside_the_middleware_are_bound_alike():
    """Headers of async views and of refused bodies, over TLS as in a deployment."""
    request = RequestFactory().get("/api/v1/user/me", secure=True)
    common = Client().get("/livez", secure=True)

    beside = apply_header_middleware(request, HttpResponse())

    assert beside.headers.items() >= {(name, common[name]) for name in BINDING}


@pytest.mark.parametrize("path", ["/api/v1/user/me", "/api/v1/nothing", "/openapi.json"])
def test_allowed_origin_may_read_answers_and_their_headers(path):
    answer = Client().get(path, headers={"Origin": ORIGIN})

    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    exposed = answer["Access-Control-Expose-Headers"].split(", ")
    assert {"Link", "Location", "Retry-After", "X-Request-ID", "Idempotent-Replayed"} <= {*exposed}
    assert "origin" in answer["Vary"].lower()
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize("origin", [EVIL, "null", f"{ORIGIN}.evil.example", "https://["])
@pytest.mark.parametrize("path", ["/api/v1/user/me", "/livez", "/docs"])
def test_other_origin_may_read_nothing(path, origin):
    answer = Client().get(path, headers={"Origin": origin})

    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/livez", "/billing/cancel"])
def test_pages_are_for_their_own_origin(path):
    answer = Client().get(path, headers={"Origin": ORIGIN})

    assert not [name for name in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(("origin", "is_allowed"), [(ORIGIN, True), (EVIL, False)])
def test_preflight_needs_no_token(origin, is_allowed):
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    answer = Client().options("/api/v1/chatroom/", headers=asked)

    assert answer.status_code == 200
    assert answer.has_header("Access-Control-Allow-Origin") is is_allowed
    if is_allowed:
        assert "idempotency-key" in answer["Access-Control-Allow-Headers"]
        assert "authorization" in answer["Access-Control-Allow-Headers"]
        assert "PATCH" in answer["Access-Control-Allow-Methods"]


@pytest.mark.django_db
def test_cookies_are_of_this_host_alone_and_out_of_reach_of_scripts():
    answer = Client().get("/admin/login/", secure=True)

    [cookie] = answer.cookies.values()
    assert cookie.key == "__Host-csrftoken"
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == ("/", "")

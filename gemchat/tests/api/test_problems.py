"""Every error is answered by a problem document, with and without DEBUG."""

import pytest
from django.test import Client

from tests.support import broken_urls
from tests.support.messaging.rooms import make_room, url_of

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
debug = pytest.mark.parametrize("is_debugging", [True, False], ids=["debug", "deployed"])


@pytest.fixture(autouse=True)
def debugging(request, settings):
    settings.DEBUG = getattr(request, "param", False)
    if "is_debugging" in request.fixturenames:
        settings.DEBUG = request.getfixturevalue("is_debugging")


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False, headers={"X-Request-ID": "test.1"})


def assert_problem(answer, status: int, code: str) -> None:
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["X-Request-ID"] == "test.1"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["request_id"] == "test.1"
    assert isinstance(problem["detail"], str)


@debug
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/nothing"),
        ("post", "/nothing"),
        ("options", "/nothing"),
        ("delete", "/nothing"),
        ("get", "/api/v1/nothing/"),
        ("post", "/api/v1/nothing/"),
        ("get", "/api"),
        ("get", "/static/nothing.css"),
    ],
)
def test_unknown_url_is_not_found(path, method, is_debugging, client):
    assert_problem(getattr(client, method)(path), 404, "not_found")


def test_unknown_url_has_the_head_of_a_problem(client):
    answer = client.head("/nothing")

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


@debug
@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/livez", "evil.example"),
        ("/livez", "evil..example"),
        ("/livez", "localhost:x"),
        ("/livez", "localhost/x"),
        ("/api/v1/user/me", "evil.example"),
        ("/nothing", "evil.example"),
        ("/admin/", "evil.example"),
    ],
)
def test_bad_host_is_refused(path, host, is_debugging, client):
    answer = client.get(path, headers={"Host": host})

    assert_problem(answer, 400, "invalid_host")
    assert host not in answer.content.decode()


@debug
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("unforeseen", 500, "server_error"),
        ("bad", 400, "bad_request"),
        ("database", 503, "dependency_unavailable"),
        ("foreseen", 409, "foreseen"),
    ],
)
def test_failing_view_tells_no_secret(fault, status, code, is_debugging, client, settings):
    settings.ROOT_URLCONF = broken_urls.__name__

    answer = client.get(f"/api/v1/broken/{fault}", headers={"Accept": BROWSER})

    assert_problem(answer, status, code)
    assert "secret" not in answer.content.decode()
    assert answer.has_header("Retry-After") is (status == 503)


@pytest.mark.parametrize(("is_debugging", "is_page"), [(True, True), (False, False)])
def test_debug_page_is_for_a_developers_browser(is_debugging, is_page, client, settings):
    settings.ROOT_URLCONF = broken_urls.__name__

    seen = client.get("/broken/unforeseen", headers={"Accept": BROWSER})
    by_client = client.get("/broken/unforeseen")

    assert ("RuntimeError" in seen.content.decode()) is is_page
    assert_problem(by_client, 500, "server_error")


@debug
def test_csrf_failure_is_a_problem(is_debugging, db):
    client = Client(enforce_csrf_checks=True, headers={"X-Request-ID": "test.1"})

    assert_problem(client.post("/admin/login/"), 403, "csrf_failed")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("put", "/api/v1/auth/login", "POST"),
        ("get", "/api/v1/auth/signup", "POST"),
        ("options", "/api/v1/auth/signup", "POST"),
        ("get", "/api/v1/subscription/webhook/stripe", "POST"),
        ("post", "/api/v1/health", "GET, HEAD"),
        ("delete", "/livez", "GET, HEAD"),
        ("post", "/readyz/", "GET, HEAD"),
        ("post", "/billing/success", "GET, HEAD"),
        ("post", "/openapi.json", "GET, HEAD"),
        ("put", "/docs/", "GET, HEAD"),
    ],
)
def test_wrong_method_is_told_the_right_one(method, path, allowed):
    client = Client(enforce_csrf_checks=True, headers={"X-Request-ID": "test.1"})

    answer = getattr(client, method)(path)

    assert_problem(answer, 405, "method_not_allowed")
    assert allowed in answer["Allow"]


def test_wrong_method_on_a_resource_is_told_the_right_ones(alice_api):
    answer = alice_api.put("/api/v1/user/me", {})

    assert answer.status_code == 405
    assert {"GET", "PATCH"} <= set(answer["Allow"].split(", "))


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*"])
def test_unknown_media_type_is_not_acceptable(accept, alice_api):
    answer = alice_api.get(
        "/api/v1/chatroom/", headers={"Accept": accept, "X-Request-ID": "test.1"}
    )

    assert_problem(answer, 406, "not_acceptable")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.1"])
def test_json_is_given_to_clients_that_take_it(accept, alice_api):
    answer = alice_api.get("/api/v1/chatroom/", headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"


def test_form_cannot_be_chosen_in_the_query(alice_api):
    assert alice_api.get("/api/v1/user/me?format=api").status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", ""]
)
def test_other_content_types_are_unsupported(content_type, alice_api, alice):
    answer = alice_api.generic(
        "POST", url_of(make_room(alice)), b'{"prompt": "Hi"}', content_type=content_type
    )

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer["Content-Type"] == "application/problem+json"

"""Requests that no browser sends are the client's fault, with DEBUG on and off."""

import pytest
from django.test import Client

FORM = "application/x-www-form-urlencoded"
PATHS = ["/api/v1/user/me", "/api/v1/nothing", "/admin/login/", "/nothing", "/web/session", "/"]
HTML = {"Accept": "text/html"}
BODIES = {
    "many fields": (FORM, "&".join(f"a{number}=1" for number in range(2_000))),
    "charset": (f"{FORM}; charset=utf-16", "a=1"),
    "no such charset": (f"{FORM}; charset=none", "a=1"),
    "no boundary": ("multipart/form-data", "--x"),
    "odd boundary": ("multipart/form-data; boundary=\xff", "--x"),
    "long boundary": (f"multipart/form-data; boundary={'b' * 500}", "--x"),
    "many parts": (
        "multipart/form-data; boundary=x",
        "".join(
            f'--x\r\nContent-Disposition: form-data; name="a{number}"\r\n\r\n1\r\n'
            for number in range(1_500)
        )
        + "--x--\r\n",
    ),
    "many files": (
        "multipart/form-data; boundary=x",
        "".join(
            f'--x\r\nContent-Disposition: form-data; name="a"; filename="{number}"\r\n\r\n1\r\n'
            for number in range(200)
        )
        + "--x--\r\n",
    ),
    "bad base64": (
        "multipart/form-data; boundary=x",
        '--x\r\nContent-Disposition: form-data; name="a"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n1\r\n--x--\r\n",
    ),
    "too large": (FORM, "a=" + "1" * 300 * 1024),
    "no type": ("", "a=1"),
    "odd type": ("/;;=\0", "a=1"),
    "bytes": (FORM, "%FF=%00&\0=\xff"),
}


# Read as an empty form, or as one that Django makes the best of.
ACCEPTED = {"no such charset", "bad base64", "no type", "odd type", "bytes"}


@pytest.fixture(params=[True, False], ids=["debug", "deployed"])
def client(request, settings, db):
    settings.DEBUG = request.param
    return Client(raise_request_exception=False)


def test_thousands_of_parameters_are_malformed(client):
    query = "&".join(["a=1"] * 2_000)

    for path in [*PATHS, "/api/v1/chatroom/", "/livez", "/static/style.css"]:
        for headers in (HTML, {}):
            answer = client.get(f"{path}?{query}", headers=headers)

            assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), path


@pytest.mark.parametrize("body", BODIES)
def test_odd_body_of_a_page_is_the_clients_fault(client, body):
    content_type, sent = BODIES[body]

    answer = client.generic(
        "POST", "/admin/login/", sent.encode("latin-1"), content_type, headers=HTML
    )

    assert 400 <= answer.status_code < 500 or body in ACCEPTED


@pytest.mark.parametrize("path", PATHS)
def test_form_of_thousands_of_fields_is_the_clients_fault(client, path):
    content_type, sent = BODIES["many fields"]

    answer = client.generic("POST", path, sent.encode(), content_type, headers=HTML)

    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    "cookie",
    [
        ";".join(f"c{number}=1" for number in range(3_000)),
        "sessionid=" + "x" * 8_000,
        "__Host-sessionid=\0\xff; __Host-csrftoken=\0",
        "=;;==;\xff=\xff",
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_odd_cookies_do_no_harm(client, cookie):
    for path in PATHS:
        answer = client.get(path, headers={"Cookie": cookie, **HTML})

        assert answer.status_code < 500, path


@pytest.mark.parametrize("value", ["\0", "\xff", ";q=" + "9" * 5_000, "," * 8_000, "text/" * 900])
def test_odd_headers_do_no_harm(client, value):
    names = ("Accept", "Accept-Language", "Range", "If-Modified-Since", "If-None-Match")
    for path in PATHS:
        answer = client.get(path, headers=dict.fromkeys(names, value))

        assert answer.status_code < 500, path

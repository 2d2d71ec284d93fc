"""The session of the web pages: a cookie for these pages alone, hidden from scripts."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.api.web_session import COOKIE
from accounts.models import AuditEvent, Session
from accounts.models.audit import AccountAction
from tests.support.accounts.sign_in import (
    NUMBER,
    OTHER_NUMBER,
    code_for,
    let_pass,
    post,
    sign_in,
    status_of_me,
)

pytestmark = pytest.mark.django_db

URL = "/web/session"
ORIGIN = "http://testserver"
GRACE = timedelta(seconds=10)


class Pages(Client):
    """A browser at the pages of this site; it keeps cookies."""

    def ask(self, method: str, path: str = URL, origin: str | None = ORIGIN, **options):
        headers = {"Origin": origin} if origin is not None else {}
        return self.generic(
            method, path, content_type="application/json", headers=headers, **options
        )

    def sign_in(self, **options):
        body = f'{{"mobile": "{NUMBER}", "otp": "{code_for()}"}}'
        return self.ask("POST", data=body, **options)

    def refresh(self, **options):
        return self.ask("POST", f"{URL}/refresh", **options)

    @property
    def token(self) -> str:
        return self.cookies[COOKIE].value


@pytest.fixture
def pages() -> Pages:
    return Pages()


def test_sign_in_keeps_the_refresh_token_out_of_the_body(pages):
    answer = pages.sign_in()

    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in", "message", "user"}
    assert pages.token not in answer.content.decode()
    assert status_of_me(answer.json()["access_token"]) == 200


def test_cookie_is_closed_to_scripts_and_other_sites(pages):
    cookie = pages.sign_in().cookies[COOKIE]

    assert cookie["httponly"] and cookie["secure"]
    assert cookie.key == "__Host-gemchat_refresh"
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert 0 < cookie["max-age"] <= 30 * 24 * 3600


def test_wrong_code_sets_no_cookie(pages):
    answer = pages.ask("POST", data=f'{{"mobile": "{NUMBER}", "otp": "000000"}}')

    assert (answer.status_code, answer.json()["code"]) == (400, "otp_invalid")
    assert not answer.cookies


def test_code_without_six_digits_is_named_as_the_field(pages):
    answer = pages.ask("POST", data=f'{{"mobile": "{NUMBER}", "otp": "12"}}')

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["otp"]


def test_refresh_rotates_the_cookie(pages):
    pages.sign_in()
    first = pages.token

    answer = pages.refresh()

    assert answer.status_code == 200
    assert status_of_me(answer.json()["access_token"]) == 200
    assert pages.token != first
    assert pages.token not in answer.content.decode()
    assert pages.refresh().status_code == 200


def test_refresh_without_a_cookie_says_that_nobody_is_signed_in(pages):
    answer = pages.refresh()

    assert (answer.status_code, answer.content) == (204, b"")


def test_cookie_used_twice_at_nearly_the_same_time_is_a_conflict(pages):
    pages.sign_in()
    first = pages.token
    pages.refresh()
    second = pages.token
    pages.cookies[COOKIE] = first

    answer = pages.refresh()

    assert (answer.status_code, answer.json()["code"]) == (409, "refresh_in_progress")
    assert answer["Retry-After"] == "1"
    assert not answer.cookies
    pages.cookies[COOKIE] = second
    assert pages.refresh().status_code == 200


def test_copy_of_an_old_cookie_ends_the_session(pages):
    pages.sign_in()
    stolen = pages.token
    access = pages.refresh().json()["access_token"]
    let_pass(GRACE)
    thief = Pages()
    thief.cookies[COOKIE] = stolen

    answer = thief.refresh()

    assert answer.status_code == 204
    assert answer.cookies[COOKIE].value == ""
    assert Session.objects.get().revoked_reason == Session.Ending.REFRESH_REUSED
    assert status_of_me(access) == 401
    assert pages.refresh().status_code == 204


def test_sign_out_ends_the_session_and_clears_the_cookie(pages):
    access = pages.sign_in().json()["access_token"]
    token = pages.token

    answer = pages.ask("DELETE")

    assert answer.status_code == 204
    cookie = answer.cookies[COOKIE]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", 0, "/")
    assert cookie["secure"]
    assert Session.objects.get().revoked_reason == Session.Ending.LOGOUT
    assert AuditEvent.objects.filter(action=AccountAction.SESSIONS_ENDED).count() == 1
    assert status_of_me(access) == 401
    assert post("auth/refresh", {"refresh_token": token}).status_code == 401


@pytest.mark.parametrize("value", ["", "nonsense", "é", "A" * 400])
def test_sign_out_with_any_other_cookie_ends_nothing(pages, value):
    pages.sign_in()
    pages.cookies[COOKIE] = value

    assert pages.ask("DELETE").status_code == 204
    assert pages.refresh().status_code == 204
    assert not Session.objects.get().is_revoked


@pytest.mark.parametrize(
    "origin",
    [None, "", "null", "https://evil.example", "https://testserver", f"{ORIGIN}.evil.example"],
)
def test_other_origins_are_refused_and_change_nothing(pages, origin):
    pages.sign_in()
    before = pages.token

    answers = [
        pages.ask("POST", origin=origin),
        pages.refresh(origin=origin),
        pages.ask("DELETE", origin=origin),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert {answer.json()["code"] for answer in answers} == {"origin_refused"}
    assert pages.token == before
    session = Session.objects.get()
    assert (session.is_revoked, session.previous_digest) == (False, None)


def test_origin_is_that_of_the_proxy_in_front(pages, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    forwarded = {"HTTP_HOST": "chat.example", "HTTP_X_FORWARDED_PROTO": "https"}
    settings.ALLOWED_HOSTS = ["testserver", "chat.example"]

    answer = pages.sign_in(origin="https://chat.example", **forwarded)

    assert answer.status_code == 200


def test_cookie_of_a_session_is_nothing_to_the_api(pages):
    pages.sign_in()

    assert pages.get("/api/v1/user/me").status_code == 401


@pytest.mark.parametrize(("method", "path"), [("GET", URL), ("GET", f"{URL}/refresh")])
def test_reading_is_refused(pages, method, path):
    answer = pages.ask(method, path)

    assert answer.status_code == 405


@pytest.mark.parametrize("name", ["gemchat_refresh", "__Host-gemchat_refresh"])
def test_planted_token_of_the_api_signs_nobody_in(pages, name):
    """A stranger puts a refresh token of the API into a victim's browser."""
    stranger = sign_in(OTHER_NUMBER)
    pages.cookies[name] = stranger["refresh_token"]

    answer = pages.refresh()

    assert (answer.status_code, answer.content) == (204, b"")
    assert status_of_me(stranger["access_token"]) == 200


def test_planted_cookie_without_the_prefix_signs_nobody_in(pages):
    stranger = Pages()
    stranger.ask("POST", data=f'{{"mobile": "{OTHER_NUMBER}", "otp": "{code_for(OTHER_NUMBER)}"}}')
    pages.cookies["gemchat_refresh"] = stranger.token

    assert pages.refresh().status_code == 204


@pytest.mark.parametrize(
    "header",
    [
        "{name}={own}; {name}={planted}",
        "{name}={planted}; {name}={own}",
        "{name}={own};{name} ={own}",
        "{name}={own}; other=1; \x85{name}={planted}",
        "\xa0{name}={planted}",
        "{name}\t={planted}",
    ],
)
@pytest.mark.parametrize("method, path", [("POST", f"{URL}/refresh"), ("DELETE", URL)])
def test_doubled_cookie_is_no_session(pages, header, method, path):
    access = pages.sign_in().json()["access_token"]
    stranger = Pages()
    stranger.ask("POST", data=f'{{"mobile": "{OTHER_NUMBER}", "otp": "{code_for(OTHER_NUMBER)}"}}')
    cookies = header.format(name=COOKIE, own=pages.token, planted=stranger.token)
    browser = Pages()

    answer = browser.ask(method, path, HTTP_COOKIE=cookies)

    assert (answer.status_code, answer.content) == (204, b"")
    cookie = answer.cookies[COOKIE]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", 0, "/")
    assert status_of_me(access) == 200
    assert not Session.objects.exclude(revoked_at=None, previous_digest=None).exists()


def test_doubled_cookie_does_not_keep_anybody_from_signing_in(pages):
    body = f'{{"mobile": "{NUMBER}", "otp": "{code_for()}"}}'

    answer = pages.ask("POST", data=body, HTTP_COOKIE=f"{COOKIE}=a; {COOKIE}=b")

    assert answer.cookies[COOKIE].value
    assert pages.refresh().status_code == 200


def test_doubled_cookie_is_no_session_of_the_admin(staff, settings):
    settings.DEBUG = True
    browser = Client()
    browser.force_login(staff)
    own = browser.cookies[settings.SESSION_COOKIE_NAME].value
    doubled = f"{settings.SESSION_COOKIE_NAME}={own}; {settings.SESSION_COOKIE_NAME}={own}"

    answer = Client().get("/admin/", HTTP_COOKIE=doubled)

    assert answer.status_code == 302
    assert answer.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == 0


def test_cookie_of_the_pages_is_no_refresh_token_of_the_api(pages):
    access = pages.sign_in().json()["access_token"]

    answer = post("auth/refresh", {"refresh_token": pages.token})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert status_of_me(access) == 200
    assert pages.refresh().status_code == 200


def test_sign_out_of_the_pages_ends_no_session_of_the_api(pages):
    tokens = sign_in()
    pages.cookies[COOKIE] = tokens["refresh_token"]

    assert pages.ask("DELETE").status_code == 204
    assert status_of_me(tokens["access_token"]) == 200

"""Searches stand in query strings, so logs and reports hold no query string."""

import io
import logging

import pytest
from django.core.exceptions import SuspiciousOperation
from django.test import Client, RequestFactory
from django.utils.log import log_response

from gemchat.api.errors import bad_request
from gemchat.monitoring.log_format import formatter
from gemchat.monitoring.redaction import redacted, redacted_deep
from gemchat.monitoring.telemetry import reported
from tests.support import broken_urls

SECRET = "what-i-looked-for"


@pytest.fixture
def written():
    """All lines of the program and its libraries, as the log has them."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(formatter(readable=False))
    loggers = [logging.getLogger(name) for name in ("", "django", "django.request")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield lines
    loggers[0].removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("is_debugging", [True, False], ids=["debug", "deployed"])
def test_failing_requests_log_no_query_string(written, settings, is_debugging):
    settings.DEBUG, settings.ROOT_URLCONF = is_debugging, broken_urls.__name__
    client = Client(raise_request_exception=False)
    browser = {"Accept": "text/html"}

    for path in ("/broken/unforeseen", "/broken/bad", "/api/v1/broken/unforeseen", "/nothing"):
        client.get(f"{path}?q={SECRET}", headers=browser)
    client.get(f"/livez?q={SECRET}", headers={"Host": "evil.example"})
    client.post(f"/admin/login/?q={SECRET}", b"--x", "multipart/form-data; boundary=\xff")

    assert "broken/unforeseen" in written.getvalue()
    assert SECRET not in written.getvalue()


def test_line_with_the_request_has_no_query_string(written):
    """Django's own loggers, django.request and django.security.*, give the request along."""
    request = RequestFactory().get(f"/path?q={SECRET}")

    for name in ("django.request", "django.security.SuspiciousOperation"):
        log_response(
            "Failed: %s",
            request.path,
            response=bad_request(request),
            request=request,
            logger=logging.getLogger(name),
            level="error",
            exception=SuspiciousOperation(f"{request!r} at {request.get_full_path()}"),
        )

    assert written.getvalue().count('"event": "Failed: /path"') == 2
    assert SECRET not in written.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"<WSGIRequest: GET '/api/v1/chatroom/?q={SECRET}'>",
        f"GET /search?{SECRET} HTTP/1.1",
        f"Max retries exceeded with url: /v1beta/models?{SECRET}=1&b={SECRET} (Caused by",
        f"https://example.com?q={SECRET}",
        f"https://example.com/a/b?a=b&q={SECRET}#c",
        f"path=/a?q={SECRET}",
        f'"/a?q={SECRET}"',
    ],
)
def test_query_string_is_taken_out(text):
    assert SECRET not in redacted(text)


@pytest.mark.parametrize("text", ["Is it so? Yes.", "a ? b : c", "what?why", "(?P<name>x)?"])
def test_question_is_left(text):
    assert redacted(text) == text


def test_report_has_no_query_string():
    """As Sentry's integrations make events: with a request in `extra`, and `http.query`."""
    request = RequestFactory().get(f"/path?q={SECRET}")
    event = {
        "request": {"method": "GET", "url": "/path", "query_string": f"q={SECRET}"},
        "extra": {"request": repr(request), "status_code": 500},
        "breadcrumbs": {"values": [{"data": {"url": "/path", "http.query": f"q={SECRET}"}}]},
        "exception": {"values": [{"value": f"{request!r} failed"}]},
    }

    assert SECRET not in str(reported(event))
    assert SECRET not in str(redacted_deep({"data": {"http.query": f"q={SECRET}"}}))

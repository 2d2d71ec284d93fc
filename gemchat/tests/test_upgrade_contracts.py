"""Names of libraries that are no part of their public API: docs/upgrading.md lists them.

A test here fails when a new version of a library takes such a name away, or mends the fault that
our code works around.
"""

import asyncio
import inspect
from importlib import import_module
from typing import Any

import httpx2
import psycopg
import pytest
from celery.worker import consumer
from django.core.handlers.base import BaseHandler
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import resolve
from google.genai._api_client import HttpResponse as SdkResponse
from kombu.transport import redis as kombu_redis
from redis.exceptions import BusyLoadingError, MasterDownError, ReadOnlyError, ResponseError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gemchat.api.middleware import ContentSecurityPolicyMiddleware
from gemchat.celery.broker import Transport
from gemchat.celery.consumer import Consumer
from gemchat.env import BASE_DIR

# By library: a class or module, and the names that our code calls, overrides or replaces.
NAMES = {
    "Django": (
        "django.core.handlers.asgi:ASGIHandler",
        ["create_request", "load_middleware", "resolve_request", "get_response"]
        + ["get_response_async", "send_response", "_get_response_async", "chunk_size"],
    ),
    "Django, cursors": (
        "django.db.backends.postgresql.base:DatabaseWrapper",
        ["close_if_health_check_failed", "make_cursor", "make_debug_cursor", "queries_logged"]
        + ["wrap_database_errors"],
    ),
    "django-csp": ("csp.middleware:CSPMiddleware", ["process_response"]),
    "uvicorn": (
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol",
        ["connection_made", "connection_lost", "data_received", "on_message_begin"]
        + ["on_headers_complete", "pause_writing", "resume_writing", "send_400_response"]
        + ["shutdown"],
    ),
    "uvicorn, status lines": ("uvicorn.protocols.http.httptools_impl", ["STATUS_LINE"]),
    "uvicorn, answers": (
        "uvicorn.protocols.http.httptools_impl:RequestResponseCycle",
        ["send"],
    ),
    "Celery, beat": ("celery.beat:Scheduler", ["tick", "populate_heap"]),
    "psycopg": ("psycopg:Connection", ["connect", "wait", "execute", "prepare_threshold"]),
    "kombu": ("kombu.transport.redis:Channel", ["_connparams", "_create_client"]),
    "kombu, errors": ("kombu.transport.redis:Transport", ["connection_errors"]),
    "kombu, aliases": ("kombu.transport", ["TRANSPORT_ALIASES"]),
    "Celery, aliases": ("celery.app.backends", ["BACKEND_ALIASES"]),
    "Celery, results": ("celery.backends.redis:RedisBackend", ["_params_from_url"]),
    "Celery, consumer": (
        "celery.worker.consumer:Consumer",
        ["on_connection_error_after_connected", "on_connection_error_before_connected"],
    ),
    "httpx2": ("httpx2", ["EventSource", "AsyncByteStream"]),
    "logging": ("logging", ["_srcfile"]),
}


def holder_of(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)


@pytest.mark.parametrize("library", NAMES)
def test_library_has_the_names_that_we_use(library: str) -> None:
    path, names = NAMES[library]

    missing = [name for name in names if not hasattr(holder_of(path), name)]

    assert missing == []


@pytest.mark.parametrize("library", NAMES)
def test_guide_to_upgrades_lists_the_names(library: str) -> None:
    guide = (BASE_DIR / "docs" / "upgrading.md").read_text()

    missing = [name for name in NAMES[library][1] if f"`{name}`" not in guide]

    assert missing == []


def test_async_handler_of_django_reads_its_middleware_from_these_attributes() -> None:
    source = inspect.getsource(BaseHandler)
    for name in ("_view_middleware", "_template_response_middleware", "_exception_middleware"):
        assert f"self.{name}" in source
    assert "self._middleware_chain = handler" in source


def test_response_of_django_tells_its_handler_of_its_end() -> None:
    assert "_handler_class" in inspect.getsource(HttpResponse.close)


def test_uvicorn_keeps_its_connections_and_cycle_where_we_read_them() -> None:
    source = inspect.getsource(HttpToolsProtocol)
    for name in ("self.connections", "self.cycle", "self.scope", "self.transport", "self.loop"):
        assert name in source


def test_wait_of_psycopg_takes_an_interval_and_a_timeout() -> None:
    parameters = inspect.signature(psycopg.Connection.wait).parameters

    assert list(parameters) == ["self", "gen", "interval", "timeout"]


def test_kombu_still_makes_a_client_for_each_message() -> None:
    """When this fails, `gemchat.celery.broker.Channel._create_client` may be needed no more."""
    source = inspect.getsource(kombu_redis.Channel._create_client)

    assert "return self.Client(**client_kwargs)" in source


def test_celery_still_takes_a_closed_channel_for_a_fault_of_its_own() -> None:
    """When this fails, `gemchat.celery.consumer` is not needed any more (celery#9250)."""
    assert AttributeError not in kombu_redis.get_redis_error_classes().connection_errors
    assert issubclass(Consumer, consumer.Consumer)


def test_google_genai_still_takes_other_lines_of_an_event_stream_for_json() -> None:
    """When this fails, `messaging.gemini.responses.event_stream` may be needed no more."""
    source = inspect.getsource(SdkResponse._aiter_response_stream)

    assert "line.startswith('data: ')" in source


def test_client_of_httpx2_reads_the_stream_that_a_hook_puts_into_the_response() -> None:
    assert "self.stream.__aiter__()" in inspect.getsource(httpx2.Response.aiter_raw)
    assert "self.stream.aclose()" in inspect.getsource(httpx2.Response.aclose)


def test_kombu_still_takes_a_refused_command_for_an_error_of_the_channel() -> None:
    """When this fails, `Transport.connection_errors` of our broker is not needed any more."""
    errors = kombu_redis.get_redis_error_classes()

    assert not issubclass(ResponseError, errors.connection_errors)
    assert issubclass(ResponseError, errors.channel_errors)
    for error in (ResponseError, ReadOnlyError, MasterDownError, BusyLoadingError):
        assert issubclass(error, Transport.connection_errors)
    assert "recoverable_errors = self.connection_errors" in inspect.getsource(
        consumer.Consumer.start
    )


def test_policy_of_a_page_is_the_one_that_django_csp_builds() -> None:
    request = RequestFactory().get("/")

    ours = ContentSecurityPolicyMiddleware(lambda _: HttpResponse())(request)
    theirs = ContentSecurityPolicyMiddleware.__base__(lambda _: HttpResponse())(request)

    assert ours["Content-Security-Policy"] == theirs["Content-Security-Policy"]


def test_coroutine_functions_of_django_views_are_seen_as_such() -> None:
    stream = resolve("/api/v1/message/01a20791-51d5-756e-9b4a-0414fd212fc7/stream")
    room = resolve("/api/v1/chatroom/")

    assert asyncio.iscoroutinefunction(stream.func)
    assert not asyncio.iscoroutinefunction(room.func)

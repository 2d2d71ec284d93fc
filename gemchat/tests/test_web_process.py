"""How the web process starts, and which limit each body has."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest
from rest_framework.decorators import action
from rest_framework.viewsets import ViewSet

from gemchat.api.parsers import body_limit
from gemchat.serving.application import Application
from gemchat.serving.request_body import RequestBodyMiddleware

LARGE = 300 * 1024


class Uploads(ViewSet):
    max_body_bytes: int | None = None

    @action(detail=False, methods=["post"], max_body_bytes=2 * LARGE)
    def upload(self, request: HttpRequest) -> None: ...


def plain(request: HttpRequest) -> None: ...


def large(request: HttpRequest) -> None: ...


large.max_body_bytes = 2 * LARGE  # type: ignore[attr-defined]


async def nothing(scope: Any, receive: Any, send: Any) -> None: ...


def answer_to(view: Any, body: bytes) -> list[Any]:
    """What the middleware sends by itself, then the body that it hands on."""
    answers: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answers.append((await receive())["body"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message.get("status"))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"host", b"testserver"), (b"transfer-encoding", b"chunked")],
        "state": {"began": time.perf_counter(), "resolver_match": SimpleNamespace(func=view)},
    }
    asyncio.run(RequestBodyMiddleware(app)(scope, receive, send))
    return answers


@pytest.mark.parametrize(
    "view", [large, Uploads.as_view({"post": "upload"}, **Uploads.upload.kwargs)]
)
def test_view_with_a_limit_of_its_own_gets_a_large_body(view: Any) -> None:
    body = b"x" * LARGE

    assert answer_to(view, body) == [body]
    assert answer_to(view, 3 * body)[0] == 413


def test_other_view_gets_no_large_body() -> None:
    assert body_limit(plain) == 256 * 1024
    assert answer_to(plain, b"x" * LARGE)[0] == 413


def test_process_without_limits_of_http_does_not_start() -> None:
    process = Application(
        sync_views=nothing,
        async_views=nothing,
        is_stuck=lambda: False,
        hub=lambda: pytest.fail("it starts"),
    )
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(process({"type": "lifespan"}, receive, send))

    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]
    assert "--http" in sent[0]["message"]

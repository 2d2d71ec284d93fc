"""How the web process serves Django's synchronous views."""

import asyncio
import gc
import re
import threading
import time
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.urls import resolve
from rest_framework.request import Request

from gemchat.serving.sync_views import Lane, SyncViewHandler
from gemchat.tests.api.test_headers import BINDING


def answer_to(path: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body of what the handler answers."""
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {"began": time.perf_counter(), "resolver_match": resolve(path)},
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(SyncViewHandler(threads=1)(scope, receive, send))
    head, *pieces = sent
    headers = {name.decode(): value.decode() for name, value in head["headers"]}
    return headers, b"".join(piece.get("body", b"") for piece in pieces)


def test_call_of_the_api_passes_the_whole_chain() -> None:
    headers, body = answer_to("/api/v1/user/me")

    assert b"not_authenticated" in body
    assert headers["Content-Length"] == str(len(body))
    assert headers["X-Request-ID"]
    assert set(BINDING) - {"Strict-Transport-Security"} <= set(headers)


def test_page_passes_the_whole_chain() -> None:
    headers, body = answer_to("/admin/login/")

    assert b"csrfmiddlewaretoken" in body
    assert "csrftoken" in headers["Set-Cookie"]
    assert headers["Content-Length"] == str(len(body))


def count_requests() -> int:
    return sum(type(each) in {ASGIRequest, Request} for each in gc.get_objects())


def test_memory_of_a_call_of_the_api_is_free_without_a_collection() -> None:
    answer_to("/api/v1/user/me")
    gc.collect()
    gc.disable()
    try:
        before = count_requests()
        answer_to("/api/v1/user/me")
        assert count_requests() == before
    finally:
        gc.enable()


class Blocked(SyncViewHandler):
    """Serves requests that wait until `gate` is set."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gate = threading.Event()
        self.serving: list[str] = []

    def _serve(self, scope: Any, body: bytes, push: Any) -> list[Any]:
        self.serving.append(scope["path"])
        assert self.gate.wait(20)
        return []

    def ask(self, path: str) -> "asyncio.Task[None]":
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            pass

        return asyncio.create_task(self({"type": "http", "path": path}, receive, send))


def test_lane_takes_its_threads_and_no_more() -> None:
    async def run() -> list[str]:
        handler = Blocked(threads=3, lanes=[Lane(re.compile("/slow"), threads=1)])
        slow = [handler.ask("/slow") for _ in range(5)]
        await asyncio.sleep(0)
        others = [handler.ask("/other") for _ in range(2)]
        while len(handler.serving) < 3:
            await asyncio.sleep(0.01)
        serving = sorted(handler.serving)
        handler.gate.set()
        await asyncio.gather(*slow, *others)
        assert len(handler.serving) == 7
        return serving

    assert asyncio.run(run()) == ["/other", "/other", "/slow"]


def test_handler_is_stuck_while_every_thread_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemchat.serving.sync_views.STUCK_SECONDS", 0.1)

    async def run() -> None:
        handler = Blocked(threads=2)
        first = handler.ask("/")
        while time.monotonic() - handler._changed_at <= 0.1 or not handler.serving:
            await asyncio.sleep(0.01)
        assert not handler.is_stuck()
        second = handler.ask("/")
        while not handler.is_stuck():
            await asyncio.sleep(0.01)
        handler.gate.set()
        await asyncio.gather(first, second)
        assert not handler.is_stuck()

    asyncio.run(asyncio.wait_for(run(), 20))

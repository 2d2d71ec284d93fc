"""Upload files through the application, and examine them as a worker does."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from accounts.models import User
from files.examination.run import examine_waiting
from files.models import File
from tests.support.messaging.asgi import ask

HELLO = b"Revenue 2025: 3.1 million. Revenue 2026: 4.2 million.\n"


def disposition(name: str) -> str:
    return f'attachment; filename="{name}"'


def post(
    user: User,
    content: bytes = HELLO,
    *,
    name: str = "report.txt",
    pieces: Iterable[bytes] | None = None,
    slow_pieces: AsyncIterator[bytes] | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], Any]:
    """Upload bytes; return the status, headers and JSON of the answer."""
    given = {"Content-Disposition": disposition(name), **headers}
    if pieces is None:
        given.setdefault("Content-Length", str(len(content)))
    else:
        given.setdefault("Transfer-Encoding", "chunked")
    status, answered, body = ask(
        "/api/v1/file/",
        user,
        method="POST",
        headers=given,
        pieces=[content] if pieces is None else pieces,
        slow_pieces=slow_pieces,
    )
    return status, answered, json.loads(body)


def uploaded(user: User, content: bytes = HELLO, *, name: str = "report.txt") -> File:
    """Upload bytes, also bytes that the user has, without the examination."""
    status, _, body = post(user, content, name=name)
    assert status in (200, 201), body
    return File.objects.get(pk=body["id"])


def examined(user: User, content: bytes = HELLO, *, name: str = "report.txt") -> File:
    """Upload bytes, and examine them."""
    file = uploaded(user, content, name=name)
    examine_waiting()
    file.refresh_from_db()
    return file

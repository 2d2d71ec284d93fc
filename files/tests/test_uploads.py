"""Uploads: what is accepted and refused, and what a client reads of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import LimitHit, User
from billing.tests.plans import with_plan
from files.api import uploads
from files.deletions import delete_due
from files.examination.run import examine_waiting
from files.models import File
from files.storage import blobs
from gemchat.stores.redis import broker
from tests.support.files.uploads import HELLO, disposition, examined, post, uploaded
from tests.support.marks import transactional
from tests.support.messaging.asgi import ask
from tests.support.plugins.files import stored_names
from tests.support.waiting import in_background

pytestmark = transactional

FORM = (
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="photo.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n%s\r\n--B--\r\n"
)
FORM_TYPE = {"Content-Type": "multipart/form-data; boundary=B"}


def read(user: User, path: str = "", **headers: str) -> tuple[int, dict[str, str], Any]:
    status, answered, body = ask(f"/api/v1/file/{path}", user, headers=headers)
    return status, answered, json.loads(body) if "json" in answered["content-type"] else body


def test_text_is_received_then_ready(alice: User) -> None:
    status, headers, body = post(alice)
    file = examined(alice)

    _, _, ready = read(alice, body["id"])

    assert (status, body["status"], body["url"]) == (201, "received", None)
    assert headers["location"] == f"/api/v1/file/{body['id']}"
    assert str(file.pk) == body["id"]
    assert (ready["status"], ready["kind"], ready["size"]) == ("ready", "text", len(HELLO))
    assert (ready["tokens"], ready["name"], ready["refusal"]) == (18, "report.txt", None)


@pytest.mark.parametrize("pieces", [[HELLO], [HELLO[:7], b"", HELLO[7:]]])
def test_chunked_upload_is_received(alice: User, pieces: list[bytes]) -> None:
    status, _, body = post(alice, pieces=pieces)

    assert (status, body["size"]) == (201, len(HELLO))


def test_multipart_form_is_received(alice: User) -> None:
    status, _, body = post(alice, FORM % HELLO, **FORM_TYPE)

    assert (status, body["name"], body["size"]) == (201, "photo.txt", len(HELLO))


def test_large_form_is_received_whole(alice: User) -> None:
    content = b"0123456789abcdef" * 60_000

    status, _, body = post(alice, FORM % content, **FORM_TYPE)

    assert (status, body["size"]) == (201, len(content))
    assert uploaded_bytes(body["id"]) == content


def uploaded_bytes(file_id: str) -> bytes:
    with blobs.opened(File.objects.get(pk=file_id).key) as stored:
        return stored.read()


def test_same_bytes_again_answer_200_with_the_same_file(alice: User, bob: User) -> None:
    first = uploaded(alice)

    again = post(alice, name="other.txt")
    of_bob = post(bob)

    assert (again[0], again[2]["id"], again[2]["name"]) == (200, str(first.pk), "report.txt")
    assert of_bob[0] == 201
    assert File.objects.filter(user=alice).count() == 1


def test_same_bytes_again_are_examined_where_the_task_is_lost(alice: User) -> None:
    uploaded(alice)
    broker().delete("files")

    post(alice)
    waiting = broker().llen("files")
    examine_waiting()
    post(alice)

    assert (waiting, broker().llen("files")) == (1, 1)


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 422, "file_empty"),
        (HELLO, {"Content-Disposition": "attachment"}, 422, "file_name"),
        (HELLO, {"Content-Disposition": disposition("x" * 256)}, 422, "file_name"),
        (b"PK\x03\x04" + b"\0" * 60, {}, 415, "unsupported_file_type"),
        (b"\x7fELF" + b"\1" * 60, {}, 415, "unsupported_file_type"),
        (b"\0" * 60, {}, 415, "unsupported_file_type"),
        (b"caf\xe9", {}, 415, "unsupported_file_type"),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', {}, 415, "unsupported_file_type"),
        (b"a" * (1024**2 + 1), {}, 413, "file_too_large"),
        (b"x", {"Content-Length": str(20 * 1024**2 + 1)}, 413, "file_too_large"),
        (b"--B--", FORM_TYPE, 400, "parse_error"),
        (b"x", {"Content-Type": "multipart/form-data"}, 400, "parse_error"),
    ],
    ids=[
        "empty",
        "no name",
        "long name",
        "zip",
        "program",
        "nul",
        "latin-1",
        "svg",
        "long text",
        "length",
        "no part",
        "no boundary",
    ],
)
def test_unfit_upload_is_refused_and_takes_no_space(
    alice: User, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answered, _, body = post(alice, content, **headers)

    assert (answered, body["code"]) == (status, code)
    assert File.objects.used_bytes(user_id=alice.pk) == 0


def test_upload_without_a_length_is_refused(alice: User) -> None:
    headers = {"Content-Disposition": disposition("a.txt")}

    status, _, _ = ask("/api/v1/file/", alice, method="POST", headers=headers)

    assert status == 411


def test_chunks_beyond_the_limit_are_refused(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", file_max_bytes=100)

    status, _, body = post(alice, pieces=[b"a" * 60, b"b" * 60])

    assert (status, body["code"], body["limit"]) == (413, "file_too_large", 100)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('attachment; filename="../../etc/passwd.txt"', "passwd.txt"),
        ('attachment; filename="C:\\\\temp\\\\a.txt"', "a.txt"),
        ("attachment; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x.txt", "a__Set-Cookie_ x.txt"),
        ("attachment; filename*=UTF-8''photo%E2%80%AEgpj.txt", "photo_gpj.txt"),
        ("attachment; filename*=UTF-8''%E0%A4%B0.txt", "\u0930.txt"),
        ('attachment; filename="f\u00fc.txt"', "f\u00fc.txt"),
        ("attachment; filename*=UTF-8''u%CC%88.txt", "\u00fc.txt"),
    ],
)
def test_name_is_safe(alice: User, given: str, name: str) -> None:
    _, _, body = post(alice, **{"Content-Disposition": given})
    file = examined(alice, name="other.txt")

    _, headers, _ = ask(f"/api/v1/file/{file.pk}/content", alice)

    assert body["name"] == name
    assert "\r" not in headers["content-disposition"]


def test_storage_down_answers_503_and_counts_nothing(
    alice: User, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("no folder")
    files = {**settings.STORAGES["files"]}
    files["OPTIONS"] = {**files["OPTIONS"], "location": str(tmp_path / "taken")}
    settings.STORAGES = {**settings.STORAGES, "files": files}

    status, headers, body = post(alice)

    assert (status, body["code"], headers["retry-after"]) == (503, "storage_unavailable", "5")
    assert not File.objects.exists()
    assert not LimitHit.objects.exists()


async def trickle(pieces: int, *, pause: float = 0.01, size: int = 1) -> AsyncIterator[bytes]:
    """Send a piece after each pause."""
    for _ in range(pieces):
        await asyncio.sleep(pause)
        yield b"a" * size


@pytest.mark.parametrize(("pieces", "pause"), [(1, 5.0), (500, 0.01)], ids=["silent", "slow"])
def test_slow_upload_ends_and_takes_no_space(
    alice: User, monkeypatch: pytest.MonkeyPatch, pieces: int, pause: float
) -> None:
    monkeypatch.setattr(uploads, "FIRST_SECONDS", 0.3)

    status, _, body = post(alice, pieces=[b"a"], slow_pieces=trickle(pieces, pause=pause))

    assert (status, body["code"]) == (408, "request_timeout")
    assert File.objects.used_bytes(user_id=alice.pk) == 0


def test_upload_of_the_least_speed_takes_longer_than_the_first_seconds(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "FIRST_SECONDS", 0.5)

    # Each piece pays for a second.
    status, _, body = post(alice, pieces=[b"a"], slow_pieces=trickle(60, size=16 * 1024))

    assert (status, body["size"]) == (201, 60 * 16 * 1024 + 1)


def test_list_has_the_newest_first_and_the_space(alice: User, bob: User) -> None:
    files = [uploaded(alice, f"text {number}".encode()) for number in range(3)]
    uploaded(bob)

    _, headers, first = read(alice, "?limit=2&kind=text")
    _, _, second = read(alice, f"?limit=2&cursor={first['next']}")
    found = [file["id"] for file in first["results"] + second["results"]]

    assert found == [str(file.pk) for file in reversed(files)]
    assert second["next"] is None
    assert (headers["x-storage-limit"], headers["x-storage-used"]) == ("100000000", "18")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "kind=video", "wait=31"])
def test_wrong_query_is_refused(alice: User, query: str) -> None:
    file = uploaded(alice)
    path = f"{file.pk}?{query}" if query.startswith("wait") else f"?{query}"

    status, _, body = read(alice, path)

    assert (status, body["code"]) == (422, "validation_error")


def test_deleted_file_is_gone_with_its_bytes(alice: User, files_folder: Path) -> None:
    file = examined(alice)

    status, _, _ = ask(f"/api/v1/file/{file.pk}", alice, method="DELETE")
    again, _, _ = ask(f"/api/v1/file/{file.pk}", alice, method="DELETE")
    delete_due()

    assert (status, again) == (204, 404)
    assert read(alice, str(file.pk))[0] == 404
    assert read(alice)[2]["results"] == []
    assert str(file.pk) not in stored_names(files_folder)
    assert File.objects.used_bytes(user_id=alice.pk) == 0


@pytest.mark.parametrize("path", ["", "/content", "/thumbnail"])
def test_stranger_gets_404(alice: User, bob: User, path: str) -> None:
    file = examined(alice)

    assert ask(f"/api/v1/file/{file.pk}{path}", bob)[0] == 404
    assert ask(f"/api/v1/file/{file.pk}{path}")[0] == 401
    assert ask(f"/api/v1/file/{file.pk}", bob, method="DELETE")[0] == 404
    assert File.objects.get(pk=file.pk).status == "ready"


def test_uploads_an_hour_are_limited(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", uploads_per_hour=1)
    uploaded(alice)

    status, headers, body = post(alice, b"another")

    assert (status, body["code"]) == (429, "rate_limited")
    assert int(headers["retry-after"]) > 3000


def test_space_of_the_plan_is_enough_for_its_last_byte(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", storage_mb=1)
    uploaded(alice, b"a" * 600_000)

    full = post(alice, b"b" * 400_001)
    fits = post(alice, b"c" * 400_000)

    assert (full[0], full[2]["code"]) == (429, "storage_full")
    assert "retry-after" not in full[1]
    assert fits[0] == 201


def test_wait_returns_the_examined_file(alice: User) -> None:
    file = uploaded(alice)
    waiting = in_background(lambda: read(alice, f"{file.pk}?wait=30"))
    examined(alice, b"another")

    _, _, body = waiting.result(20)

    assert body["status"] == "ready"

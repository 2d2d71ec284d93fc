"""Downloads: signed addresses, ranges, and headers that let no byte act."""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from accounts.models import User
from files.api import signatures
from files.models import File
from tests.support.files import corpus
from tests.support.files.uploads import HELLO, examined, uploaded
from tests.support.marks import transactional
from tests.support.messaging.asgi import ask

pytestmark = transactional


def address(user: User, file: File, name: str = "url") -> str:
    _, _, body = ask(f"/api/v1/file/{file.pk}", user)
    url = urlsplit(json.loads(body)[name])
    return f"{url.path}?{url.query}"


def test_download_has_the_bytes_and_safe_headers(alice: User) -> None:
    file = examined(alice)

    status, headers, body = ask(f"/api/v1/file/{file.pk}/content", alice)

    assert (status, body) == (200, HELLO)
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["content-disposition"] == 'attachment; filename="report.txt"'
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_signed_address_needs_no_token(alice: User) -> None:
    file = examined(alice, corpus.photo(), name="photo.jpg")

    status, headers, body = ask(address(alice, file))
    small = ask(address(alice, file, "thumbnail_url"))

    assert (status, len(body)) == (200, file.size)
    assert headers["content-disposition"].startswith("inline")
    assert (small[0], small[1]["content-type"]) == (200, "image/webp")


@pytest.mark.parametrize("change", ["late", "forged", "other view", "other file"])
def test_wrong_signature_gets_404(
    alice: User, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = examined(alice, corpus.photo(), name="photo.jpg")
    if change == "late":
        monkeypatch.setattr(signatures, "LIFETIME_SECONDS", -1)
    path = address(alice, file)
    if change == "forged":
        path = path.replace("expires=", "expires=9")
    if change == "other view":
        path = path.replace("/content", "/thumbnail")
    if change == "other file":
        path = path.replace(str(file.pk), str(examined(alice).pk))

    assert ask(path)[0] == 404


def test_address_ends_with_the_file_and_the_account(alice: User, bob: User) -> None:
    mine, his = examined(alice), examined(bob)
    paths = [address(alice, mine), address(bob, his)]

    ask(f"/api/v1/file/{mine.pk}", alice, method="DELETE")
    User.objects.filter(pk=bob.pk).update(is_active=False)

    assert [ask(path)[0] for path in paths] == [404, 404]


def test_unexamined_file_is_not_sent(alice: User) -> None:
    file = uploaded(alice)

    assert ask(f"/api/v1/file/{file.pk}/content", alice)[0] == 404


@pytest.mark.parametrize(
    ("given", "status", "sent"),
    [
        ("bytes=0-6", 206, HELLO[:7]),
        ("bytes=50-", 206, HELLO[50:]),
        ("bytes=-4", 206, HELLO[-4:]),
        ("bytes=0-999", 200, HELLO),
        ("bytes=7-2", 200, HELLO),
        ("bytes=0-1,3-4", 200, HELLO),
        ("lines=1-2", 200, HELLO),
    ],
)
def test_range_is_sent(alice: User, given: str, status: int, sent: bytes) -> None:
    file = examined(alice)

    found, headers, body = ask(f"/api/v1/file/{file.pk}/content", alice, headers={"Range": given})

    assert (found, body) == (status, sent)
    assert headers["accept-ranges"] == "bytes"
    assert ("content-range" in headers) == (status == 206)


@pytest.mark.parametrize("given", ["bytes=54-", "bytes=-0"])
def test_range_outside_the_file_is_refused(alice: User, given: str) -> None:
    file = examined(alice)

    status, headers, _ = ask(f"/api/v1/file/{file.pk}/content", alice, headers={"Range": given})

    assert (status, headers["content-range"]) == (416, "bytes */54")


def test_address_is_valid_for_a_quarter_of_an_hour(alice: User) -> None:
    file = examined(alice)

    expires = int(address(alice, file).partition("expires=")[2].partition("&")[0])

    assert 880 < expires - time.time() <= 900


@pytest.mark.parametrize("limit", ["LIVE_READS_PER_SESSION", "LIVE_READS_PER_USER"])
def test_waits_and_downloads_are_live_reads(alice: User, settings: Any, limit: str) -> None:
    ready, waiting = examined(alice), uploaded(alice, b"another")
    setattr(settings, limit, 0)

    answers = [
        ask(f"/api/v1/file/{waiting.pk}?wait=1", alice),
        ask(f"/api/v1/file/{ready.pk}/content", alice),
    ]
    allowed = [ask(f"/api/v1/file/{file.pk}?wait=0", alice) for file in (ready, waiting)]

    assert [(status, json.loads(body)["code"]) for status, _, body in answers] == [
        (429, "rate_limited")
    ] * 2
    assert [status for status, *_ in allowed] == [200, 200]


def test_signed_downloads_of_a_user_are_limited(alice: User, settings: Any) -> None:
    file = examined(alice)
    _, _, body = ask(f"/api/v1/file/{file.pk}", alice)
    url = json.loads(body)["url"].removeprefix("http://testserver")
    sent = ask(url)
    settings.LIVE_READS_PER_USER = 0

    refused = ask(url)

    assert (sent[0], sent[2]) == (200, HELLO)
    assert (refused[0], json.loads(refused[2])["code"]) == (429, "rate_limited")

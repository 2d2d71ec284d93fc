"""Uploads and examinations of real processes: races, kills, and the memory of web."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from dev.servers.stack import Stack
from tests.support.files.clamd import FakeClamd
from tests.support.plugins.files import stored_names
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("files")

LEASE_SECONDS = 8
MB = 1_000_000


@pytest.fixture(scope="module")
def clamd() -> FakeClamd:
    return FakeClamd()


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], clamd: FakeClamd) -> Iterator[Stack]:
    with make_stack(
        parts=("web", "worker", "beat"),
        FILE_LEASE_SECONDS=str(LEASE_SECONDS),
        FILE_SWEEP_SECONDS="1",
        FILE_SCANNER="clamd",
        CLAMD_ADDRESS=clamd.address,
        BASIC_STORAGE_MB="1",
        PRO_STORAGE_MB="2000",
    ) as running:
        yield running


def send(user: ApiUser, content: Any, *, wait: int = 0) -> requests.Response:
    return requests.post(
        f"{user.url}/file/?wait={wait}",
        data=content,
        headers={**user.session.headers, "Content-Disposition": "attachment; filename=a.txt"},
        timeout=120,
    )


def used_bytes(user: ApiUser) -> int:
    answer = user.session.get(f"{user.url}/file/", timeout=30)
    return int(answer.headers["X-Storage-Used"])


def make_pro(stack: Stack, user: ApiUser) -> None:
    with psycopg.connect(stack.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE accounts_user SET tier = 'pro' WHERE mobile = %s", [user.mobile])


def test_fifty_uploads_at_once_fill_the_space_exactly(stack: Stack) -> None:
    user = ApiUser(stack.url).sign_in()
    contents = [f"{number:03} ".encode() * 12_500 for number in range(50)]

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda content: send(user, content), contents))
    codes = [answer.status_code for answer in answers]

    assert sorted(codes) == [201] * 20 + [429] * 30
    assert {a.json()["code"] for a in answers if a.status_code == 429} == {"storage_full"}
    assert used_bytes(user) == MB


def slow_upload(stack: Stack, user: ApiUser) -> socket.socket:
    """Start an upload of 900 kB, and leave it after the first bytes."""
    client = socket.create_connection(("127.0.0.1", stack.port))
    head = (
        "POST /api/v1/file/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n"
        f"Authorization: {user.session.headers['Authorization']}\r\n"
        "Content-Disposition: attachment; filename=a.txt\r\n\r\n"
    )
    client.sendall(head.encode() + b"x" * 300_000)
    return client


def test_client_that_leaves_gives_the_space_back(stack: Stack) -> None:
    user = ApiUser(stack.url).sign_in()

    with slow_upload(stack, user):
        eventually(lambda: used_bytes(user) == 900_000, seconds=20)

    eventually(lambda: used_bytes(user) == 0, seconds=20)


def test_kill_of_web_in_an_upload_frees_the_space(stack: Stack) -> None:
    user = ApiUser(stack.url).sign_in()
    with slow_upload(stack, user):
        eventually(lambda: used_bytes(user) == 900_000, seconds=20)

        stack.restart("web")

    eventually(lambda: used_bytes(user) == 0, seconds=60)
    assert user.get("file/")["results"] == []
    assert send(user, b"y" * 900_000).status_code == 201
    assert list((stack.var / "uploads").iterdir()) == []


def test_kill_of_the_worker_in_an_examination_repeats_it(stack: Stack, clamd: FakeClamd) -> None:
    user = ApiUser(stack.url).sign_in()
    clamd.is_free.clear()
    before = clamd.scans
    file = send(user, b"text").json()
    eventually(lambda: clamd.scans > before, seconds=30)

    stack.restart("worker")
    meanwhile = user.session.get(f"{user.url}/file/{file['id']}/content", timeout=20)
    clamd.is_free.set()
    after = eventually(
        lambda: (found := user.get(f"file/{file['id']}?wait=10"))["status"] == "ready" and found,
        seconds=60,
    )

    assert meanwhile.status_code == 404
    assert after["tokens"] == 2


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def slow_body(size: int) -> Iterator[bytes]:
    piece = os.urandom(64 * 1024).replace(b"\0", b"\1")
    yield b"%PDF-1.7\n"
    for _ in range(size // len(piece)):
        yield piece


def test_memory_of_web_is_flat_in_uploads(stack: Stack) -> None:
    user = ApiUser(stack.url).sign_in()
    make_pro(stack, user)
    send(user, b"warm").raise_for_status()
    web = stack.processes["web"].pid
    before, highest, has_ended = resident_bytes(web), [0], threading.Event()

    def watch() -> None:
        while not has_ended.wait(0.02):
            highest[0] = max(highest[0], resident_bytes(web))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: send(user, slow_body(50 * MB)), range(20)))
    has_ended.set()
    watcher.join()
    print(f"web grew by {(highest[0] - before) / MB:.1f} MB")

    assert {answer.status_code for answer in answers} == {201}
    assert highest[0] - before < 64 * MB


def test_erased_account_leaves_no_bytes(stack: Stack) -> None:
    user = ApiUser(stack.url).sign_in()
    file = send(user, b"personal", wait=30).json()
    folder = stack.var / "files"
    assert file["id"] in stored_names(folder)

    answer = user.session.delete(f"{user.url}/user/me", timeout=20)

    assert answer.status_code == 202
    eventually(lambda: file["id"] not in stored_names(folder), seconds=60)

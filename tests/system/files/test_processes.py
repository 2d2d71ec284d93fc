"""Uploads and examinations of real processes: races, kills, full disks, and web's memory."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from PIL import Image

from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, FakeGemini, directive
from tests.support.files import corpus
from tests.support.files.clamd import FakeClamd
from tests.support.plugins.files import stored_names
from tests.support.stack.api_client import ApiUser
from tests.support.stack.processes import descendants, frozen, short_files
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("files")

LEASE_SECONDS = 8
MB = 1_000_000


@pytest.fixture(scope="module")
def clamd() -> FakeClamd:
    return FakeClamd()


@pytest.fixture(scope="module")
def stack(
    make_stack: Callable[..., Stack], clamd: FakeClamd, gemini_server: FakeGemini
) -> Iterator[Stack]:
    with make_stack(
        parts=("web", "worker", "beat"),
        GOOGLE_API_KEY="test-key",
        GEMINI_API_BASE=gemini_server.url,
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


def hits_of(stack: Stack, user: ApiUser) -> int:
    """Count the uploads of a user that count against the limit of an hour."""
    with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT count(*) FROM accounts_limithit WHERE kind = 'upload' AND subject ="
            " (SELECT id::text FROM accounts_user WHERE mobile = %s)",
            [user.mobile],
        ).fetchone()
    return found[0] if found else 0


@pytest.mark.parametrize("size", [900_000, 5_000], ids=["large", "in one buffer"])
def test_full_disk_under_an_upload_counts_nothing(stack: Stack, size: int) -> None:
    user = ApiUser(stack.url).sign_in()
    before = stored_names(stack.var / "files")

    with short_files(stack.processes["web"].pid, size // 2):
        answer = send(user, b"z" * size)

    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert (used_bytes(user), hits_of(stack, user)) == (0, 0)
    assert list((stack.var / "uploads").iterdir()) == []
    assert stored_names(stack.var / "files") <= before
    assert send(user, b"z" * size).status_code == 201


def test_full_disk_under_the_storage_leaves_no_half_file(stack: Stack) -> None:
    """The disk is full between the last received and the first stored byte."""
    user = ApiUser(stack.url).sign_in()
    before = stored_names(stack.var / "files")
    web = stack.processes["web"].pid
    with ExitStack() as steps, slow_upload(stack, user) as client:
        eventually(lambda: used_bytes(user) == 900_000, seconds=20)
        database = psycopg.connect(stack.environ["DATABASE_URL"])
        steps.enter_context(database)
        # Web now waits between the two writes, as web asks for the same bytes.
        database.execute("LOCK TABLE files_file IN ACCESS EXCLUSIVE MODE")
        client.sendall(b"x" * 600_000)
        eventually(lambda: waits_for_same_bytes(stack), seconds=20)

        with short_files(web, 450_000):
            database.rollback()
            client.settimeout(30)
            answer = client.recv(65_536)

    assert b" 503 " in answer.partition(b"\r\n")[0]
    assert (used_bytes(user), hits_of(stack, user)) == (0, 0)
    assert stored_names(stack.var / "files") <= before
    assert send(user, b"x" * 900_000).status_code == 201


def waits_for_same_bytes(stack: Stack) -> bool:
    with psycopg.connect(stack.environ["DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%sha256\" = %'"
        )
        return found.fetchone() is not None


def examinations(stack: Stack) -> set[int]:
    """The processes of the worker's examinations."""
    found = set()
    for pid in descendants(stack.processes["worker"].pid):
        if b"files.examination" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.add(pid)
    return found


def test_stream_goes_on_while_pictures_are_examined(
    stack: Stack, gemini_server: FakeGemini
) -> None:
    """As many examinations as a worker runs at once hang in their processes."""
    user = ApiUser(stack.url).sign_in()
    make_pro(stack, user)
    answer = Answer(chunks=[f"{number} " for number in range(20)], gate="examined")
    stream = user.stream(user.send(user.open_room(), directive(answer)))
    events, files, held = [next(stream)], [], set()

    with ExitStack() as pictures:
        for colour in ("red", "blue"):
            content = corpus.encoded(Image.new("RGB", (5000, 5000), colour), "JPEG")
            files.append(send(user, content).json()["id"])
            [found] = eventually(lambda: examinations(stack) - held, seconds=30)
            pictures.enter_context(frozen(found))
            held.add(found)
        gemini_server.open("examined")
        events += stream
        during = {user.get(f"file/{file}")["status"] for file in files}

    assert [event.name for event in events[:-1]] == ["reply.delta"] * (len(events) - 1)
    assert events[-1].body["content"] == "".join(answer.chunks)
    assert during == {"received"}
    for file in files:
        eventually(lambda file=file: user.get(f"file/{file}?wait=5")["status"] == "ready", 60)


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def large_body(size: int) -> Iterator[bytes]:
    """A picture that its decoder refuses at once.

    A parser of PDF would search for a minute.
    """
    piece = os.urandom(64 * 1024)
    yield b"GIF89a"
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
        answers = list(threads.map(lambda _: send(user, large_body(50 * MB)), range(20)))
    has_ended.set()
    watcher.join()
    print(f"web grew by {(highest[0] - before) / MB:.1f} MB")

    assert {answer.status_code for answer in answers} == {201}
    assert highest[0] - before < 64 * MB


def test_erased_account_leaves_no_bytes(stack: Stack) -> None:
    user = ApiUser(stack.url).sign_in()
    file = send(user, b"personal", wait=30).json()
    exports = stack.var / "files" / "exports"
    user.session.post(f"{user.url}/user/me/export", timeout=20)
    eventually(lambda: user.get("user/me/export")["status"] == "ready", seconds=30)
    folder = stack.var / "files"
    assert file["id"] in stored_names(folder)
    assert len(stored_names(exports)) == 1

    answer = user.session.delete(f"{user.url}/user/me", timeout=20)

    assert answer.status_code == 202
    eventually(lambda: file["id"] not in stored_names(folder), seconds=60)
    eventually(lambda: not stored_names(exports), seconds=60)

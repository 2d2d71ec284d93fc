"""Replies about files, by real processes: clients, kills, and other streams meanwhile."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from dev.servers.stack import Stack
from gemchat.settings import BASE_DIR
from tests.support.fakes.gemini import FakeGemini
from tests.support.files import corpus
from tests.support.files.gemini_files import inline_in, uris_in
from tests.support.messaging.gemini_calls import KEY
from tests.support.stack.api_client import ApiUser
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("files")

LARGE_PDF = corpus.pdf(attached_bytes=1_300_000)


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], gemini_server: FakeGemini) -> Iterator[Stack]:
    with make_stack(
        parts=("web", "worker", "beat"),
        GOOGLE_API_KEY=KEY,
        GEMINI_API_BASE=gemini_server.url,
        GEMINI_UPLOAD_SECONDS="10",
        REPLY_LEASE_SECONDS="3",
        REPLY_SWEEP_SECONDS="1",
    ) as running:
        yield running


def upload(user: ApiUser, content: bytes, name: str) -> str:
    answer = requests.post(
        f"{user.url}/file/?wait=30",
        data=content,
        headers={**user.session.headers, "Content-Disposition": f'attachment; filename="{name}"'},
        timeout=60,
    )
    assert answer.json()["status"] == "ready", answer.text
    return str(answer.json()["id"])


def send(user: ApiUser, *file_ids: str) -> dict[str, Any]:
    room = user.post("chatroom/", {})["id"]
    sent = {"prompt": "What is this?", "files": file_ids}
    reply: dict[str, Any] = user.post(f"message/chatroom/{room}/message", sent)["data"]["reply"]
    return reply


def test_picture_and_pdf_are_answered(stack: Stack, gemini_server: FakeGemini) -> None:
    user = ApiUser(stack.url).sign_in()
    files = [upload(user, corpus.photo(), "photo.jpg"), upload(user, corpus.pdf(), "report.pdf")]

    reply = send(user, *files)
    ended = user.get(f"message/{reply['id']}?wait=30")

    assert ended["status"] == "complete"
    [asked] = [r.body for r in gemini_server.requests if inline_in(r.body)]
    assert [part["mimeType"] for part in inline_in(asked)] == ["image/jpeg", "application/pdf"]


def test_kill_of_the_worker_in_a_copy_leaves_one_copy(
    stack: Stack, gemini_server: FakeGemini
) -> None:
    user = ApiUser(stack.url).sign_in()
    file_id = upload(user, LARGE_PDF, "report.pdf")
    gemini_server.files.processing_polls = 1_000
    reply = send(user, file_id)
    [unfinished] = eventually(lambda: list(gemini_server.files.copies), seconds=30)

    stack.restart("worker")
    gemini_server.files.processing_polls = 0
    ended = eventually(
        lambda: (
            (found := user.get(f"message/{reply['id']}?wait=10"))["status"] == "complete" and found
        ),
        seconds=60,
    )
    sweep = "from messaging.tasks import delete_copies; delete_copies()"
    command = [sys.executable, "manage.py", "shell", "-c", sweep]
    subprocess.run(command, env=stack.environ, cwd=BASE_DIR, check=True, timeout=60)

    assert ended["error"] is None
    [uri] = [uri for request in gemini_server.requests for uri in uris_in(request.body)]
    assert [uri.endswith(name) for name in gemini_server.files.copies] == [True]
    assert unfinished not in gemini_server.files.copies

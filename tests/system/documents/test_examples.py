"""The documents' examples, run as written: clients, the flow in curl, first steps."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dev.environment import BASE_DIR
from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer, directive
from tests.support.stack.api_client import ApiUser

pytestmark = pytest.mark.xdist_group("shared_stack")

TEXT = "Zwölf 👩‍👩‍👧‍👦 went out,\nand twelve came back. " * 6


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Stack:
    return shared_stack


def node() -> str:
    return shutil.which("node") or pytest.fail("No Node.js: install version 20 or newer")


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_example_prints_the_whole_answer_over_a_broken_connection(
    language: str, stack: Stack
) -> None:
    client = {
        "python": lambda: [sys.executable, "docs/examples/client.py"],
        "javascript": lambda: [node(), "docs/examples/client.mjs"],
    }[language]()
    pieces = [TEXT[start : start + 8] for start in range(0, len(TEXT), 8)]
    prompt = language + directive(Answer(chunks=pieces, chunk_delay=0.1))

    example = subprocess.Popen(
        [*client, stack.url, ApiUser(stack.url).mobile, prompt],
        cwd=BASE_DIR,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    overdue = threading.Timer(60, example.kill)
    overdue.start()
    beginning = example.stdout.read(30)
    stack.restart("web")
    rest, errors = example.communicate()
    overdue.cancel()

    assert (beginning + rest).decode() == f"{TEXT}\n", errors.decode()


@pytest.mark.parametrize("document", ["README.md", "docs/api.md"])
def test_flow_of_a_document_runs_as_written(document: str, stack: Stack, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (BASE_DIR / document).read_text(), re.M | re.S)
    script = "".join(block for block in blocks if "curl " in block)
    assert script.count("http://127.0.0.1:8000") == 1
    # Nothing but the address and the number are this test's own.
    script = script.replace("http://127.0.0.1:8000", stack.url)
    script = script.replace("+919812345678", ApiUser(stack.url).mobile)

    ran = subprocess.run(
        ["sh", "-eu"],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert '"otp"' in ran.stdout
    # Nothing was refused: only problems have a title beside a status.
    assert not re.search(r'"title": ?"[^"]*", ?"status": ?[45]', ran.stdout), ran.stdout
    if document == "docs/api.md":
        assert "event: reply.completed" in ran.stdout
        assert '"status":"complete"' in ran.stdout.rpartition("event: ")[2]

"""The clients in examples/, run as written, against a server that breaks off in mid-answer."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from dev.schema import BASE_DIR
from dev.stack import Stack
from tests.fakes.gemini import Answer, FakeGemini, directive
from tests.people import Person

# One stack serves them both.
pytestmark = pytest.mark.xdist_group("examples")

TEXT = "Zwölf 👩‍👩‍👧‍👦 went out,\nand twelve came back. " * 6


@pytest.fixture(scope="module")
def stack(make_stack: Callable[..., Stack], gemini_server: FakeGemini) -> Iterator[Stack]:
    with make_stack(
        parts=["web", "worker"], GOOGLE_API_KEY="test-key", GEMINI_API_BASE=gemini_server.url
    ) as stack:
        yield stack


def node() -> str:
    return shutil.which("node") or pytest.fail("No Node.js: install version 20 or newer")


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_example_prints_the_whole_answer_over_a_broken_connection(
    language: str, stack: Stack
) -> None:
    client = {
        "python": lambda: [sys.executable, "examples/client.py"],
        "javascript": lambda: [node(), "examples/client.mjs"],
    }[language]()
    pieces = [TEXT[start : start + 8] for start in range(0, len(TEXT), 8)]
    prompt = language + directive(Answer(chunks=pieces, chunk_delay=0.1))

    example = subprocess.Popen(
        [*client, stack.url, Person(stack.url).mobile, prompt],
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

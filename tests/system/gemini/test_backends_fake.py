"""The fake Gemini as a separate process, for benchmarks and manual tests."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from messaging.gemini import Content, TextPart
from tests.support.fakes.gemini import Answer, directive
from tests.support.messaging.gemini_calls import KEY, ask, request_for

ROOT = Path(__file__).parents[3]


@pytest.fixture
def apart(settings):
    """The URL of a fake in another process, which the backends ask."""
    command = [sys.executable, "-m", "tests.support.fakes.gemini", "--port", "0", "--tokens", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        settings.GEMINI_API_BASE = process.stdout.readline().split()[-1]
        settings.GOOGLE_API_KEY = KEY
        settings.GEMINI_BACKEND = "messaging.gemini.google_genai.Backend"
        yield settings.GEMINI_API_BASE
        process.terminate()


def control(url, action, sent=None):
    request = urllib.request.Request(  # noqa: S310 its own URL
        f"{url}/_control/{action}", data=json.dumps(sent).encode() if sent is not None else None
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def test_fake_in_another_process_is_steered_and_asked_over_http(apart):
    by_default = ask("one").text
    control(apart, "script", [{"chunks": ["as scripted"]}])
    scripted = ask("two").text

    received = control(apart, "requests")

    assert by_default == "token0 token1 token2 "
    assert scripted == "as scripted"
    assert [each["body"]["contents"][-1]["parts"][0]["text"] for each in received] == [
        "one",
        "two",
    ]


def test_prefix_of_an_earlier_request_counts_as_cached(google):
    google.cache_minimum = 100
    first = request_for("a" * 400)
    answered = Content("model", (TextPart("b" * 400),))

    def cached(request):
        return ask(request).completion.usage.cached_tokens

    assert cached(first) == 0
    longer = request_for("now", before=(*first.contents, answered))
    assert 100 < cached(longer) < 200
    assert 200 < cached(longer) < 300
    assert cached(replace(longer, system="Be brief.")) == 0
    assert cached(replace(longer, model="gemini-x")) == 0
    assert cached(replace(longer, contents=longer.contents[1:])) == 0
    google.cache_minimum = 400
    assert cached(longer) == 0
    google.cache_minimum = None
    assert cached(longer) == 0


def test_directive_in_the_prompt_answers_that_prompt_alone(gemini):
    script = directive(Answer.unavailable(), Answer(chunks=["Second time lucky"]))

    steered, plain = ask(f"first {script}"), ask("second")

    assert steered.text == "Second time lucky"
    assert "second" in plain.text
    assert len(gemini.requests) == 3

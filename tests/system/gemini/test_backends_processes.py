"""Many streams in one process, many processes, and no secret in errors or logs."""

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from pathlib import Path

import pytest

from messaging.gemini import GeminiError, get_backend
from messaging.gemini.process import PerProcess
from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import KEY, Asking, ask

ROOT = Path(__file__).parents[3]

FORKING = """
    import os, threading
    from tests.support.messaging.gemini_calls import ask

    assert "warm the client" in ask("warm the client").text
    started, start = os.pipe()

    def child(name):
        os.close(start)
        os.read(started, 1)  # returns when the parent has forked all and closes its end
        wrong = []
        def run(thread):
            for number in range(5):
                tag = f"<{name}-{thread}-{number}>"
                if ask(tag).text != f"You wrote: {tag}. That was {len(tag)} characters long.":
                    wrong.append(tag)
        threads = [threading.Thread(target=run, args=(n,)) for n in range(5)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        return len(wrong)

    children = []
    for name in range(4):
        pid = os.fork()
        if not pid:
            os._exit(child(name))
        children.append(pid)
    os.close(start)
    wrong = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert wrong == [0, 0, 0, 0], wrong
    assert "still mine" in ask("still mine").text
"""


def run_python(code, settings):
    environment = {
        name: getattr(settings, name)
        for name in ("GOOGLE_API_KEY", "GEMINI_API_BASE", "GEMINI_BACKEND")
    }
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_no_reply_reaches_another_process_after_a_fork(google, settings):
    google.default = Answer(first_delay=0.05)

    ran = run_python(FORKING, settings)

    assert ran.returncode == 0, ran.stderr
    # Not one more: a try that failed on another's bytes and was made again counts as a fault.
    assert len(google.requests) == 4 * 5 * 5 + 2


def test_what_is_made_once_per_process_is_made_once_by_many_threads():
    cache, made, outcomes = PerProcess(), [], []
    together = threading.Barrier(20)

    def make():
        time.sleep(0.05)  # as long as an SDK's client takes to be made
        made.append(object())
        return made[-1]

    def run():
        together.wait()
        outcomes.append(cache.get("key", make))

    threads = [threading.Thread(target=run) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(made) == 1
    assert set(outcomes) == {made[0]}


def test_hundreds_of_streams_run_at_once_in_one_process(google):
    google.default = Answer(chunks=["One"], ending="hang")

    asked = [Asking(f"prompt {number}") for number in range(150)]

    google.wait_for(lambda fake: len(fake.requests) == 150, seconds=30)
    assert [received.ended_at for received in google.requests] == [None] * 150
    for asking in asked:
        asking.cancelled.cancel("stop")
    assert all(asking.finish(30).cancelled for asking in asked)


def test_hundreds_of_replies_share_one_reading_and_one_watching_thread(gemini):
    gemini.default = Answer(chunks=["One"], first_delay=0.5)

    asked = [Asking(f"prompt {number}") for number in range(50)]
    gemini.wait_for(lambda fake: len(fake.requests) == 50)
    shared = [each.name for each in threading.enumerate() if each.name.startswith("gemini-")]
    [asking.finish() for asking in asked]

    assert sorted(shared) == ["gemini-clocks", "gemini-streams"]


def test_two_keys_in_one_process_keep_their_own(google, settings):
    ask("first")
    settings.GOOGLE_API_KEY = "another-key"
    ask("second")
    settings.GOOGLE_API_KEY = KEY
    ask("third")

    keys = [received.headers["x-goog-api-key"] for received in google.requests]

    assert keys == [KEY, "another-key", KEY]


@pytest.mark.parametrize(
    "answer",
    [
        Answer.bad_key(),
        Answer(status=400, error_message=f"API key {KEY} is bad; you sent: my secret diary"),
        Answer(raw_body=f"<html>{KEY} my secret diary</html>", status=502),
        Answer(raw_body=f"<html>{KEY} my secret diary</html>"),
        Answer(chunks=["my secret answer"], ending="drop"),
    ],
    ids=["bad-key", "echo", "gateway", "garbage", "drop"],
)
def test_neither_key_nor_texts_are_in_errors_or_logs(gemini, caplog, capfd, answer):
    gemini.script(*[answer] * 4)

    with caplog.at_level(logging.DEBUG):
        error = ask("my secret diary").error
    captured = capfd.readouterr()

    written = "".join(traceback.format_exception(error)) + repr(vars(error)) + caplog.text
    written += captured.out + captured.err
    assert KEY not in written
    assert "secret" not in written
    assert error.__context__ is None
    assert error.__cause__ is None


def test_missing_key_is_misconfigured_and_asks_nothing(google, settings):
    settings.GOOGLE_API_KEY = ""

    outcome = ask()

    assert outcome.error.code == "misconfigured"
    assert "GOOGLE_API_KEY" in outcome.error.detail
    assert google.requests == []


def test_sdk_is_not_imported_before_its_first_use(settings, gemini):
    code = """
        import sys
        from messaging.gemini import get_backend
        get_backend()
        print([name for name in sys.modules if name.startswith(("google.genai", "httpx2"))])
    """

    assert run_python(code, settings).stdout.strip() == "[]"


def test_backend_is_the_one_that_the_settings_name(settings):
    settings.GEMINI_BACKEND = "messaging.gemini.offline.Backend"

    assert type(get_backend()).__module__ == "messaging.gemini.offline"
    assert get_backend() is get_backend()


def test_offline_reply_says_that_it_is_no_ai_answer_and_what_to_do(settings):
    settings.GEMINI_BACKEND = "messaging.gemini.offline.Backend"

    outcome = ask("What is the capital of France?")

    assert len(outcome.deltas) > 5
    assert "not an AI answer" in outcome.text
    assert "GOOGLE_API_KEY" in outcome.text
    assert "capital of France" in outcome.text
    assert outcome.completion.model_version == "offline"
    assert outcome.completion.usage.estimated


def test_error_says_what_a_person_and_what_a_program_may_do():
    overload = GeminiError("unavailable", "Try again.", permanent=False)
    block = GeminiError("blocked", "Word it differently.")

    assert (overload.permanent, overload.retryable) == (False, True)
    assert (block.permanent, block.retryable) == (True, False)

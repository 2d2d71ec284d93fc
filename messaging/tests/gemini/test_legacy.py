"""What the older SDK makes of errors, where it reads them in its own way."""

import logging
import traceback

import pytest

from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import KEY, ask


@pytest.fixture
def legacy(gemini, settings):
    """The fake, asked through google-generativeai."""
    settings.GEMINI_BACKEND = "messaging.gemini.google_generativeai.Backend"
    return gemini


@pytest.mark.parametrize(
    "answer",
    [
        Answer.unavailable(),
        Answer(raw_body="", raw_type="application/json"),
        Answer(raw_body="[1, 2]", raw_type="application/json"),
        Answer(raw_body='{"candidates": [{', raw_type="application/json"),
        Answer(raw_body="<html>Bad gateway</html>", status=502),
    ],
    ids=["overload", "no-body", "no-message", "cut-message", "gateway"],
)
def test_temporary_failure_is_retried(legacy, answer):
    legacy.script(answer, Answer(chunks=["Right."]))

    outcome = ask()

    assert outcome.text == "Right."
    assert len(legacy.requests) == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer.rate_limited(21, day=True), "rate_limited"),
        (Answer.bad_key(), "misconfigured"),
        (Answer(status=401), "misconfigured"),
        (Answer.too_long(), "context_too_long"),
    ],
    ids=["day-quota", "bad-key", "401", "too-long"],
)
def test_permanent_failure_is_one_request_and_typed(legacy, answer, code):
    legacy.script(answer)

    outcome = ask()

    assert (outcome.error.code, outcome.error.permanent) == (code, True)
    assert len(legacy.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=400, error_message=f"API key {KEY} is bad; you sent: my secret diary"),
        Answer(raw_body=f"<html>{KEY} my secret diary</html>"),
        Answer(chunks=["my secret answer"], ending="drop"),
    ],
    ids=["echo", "garbage", "drop"],
)
def test_neither_key_nor_texts_are_in_errors_or_logs(legacy, caplog, capfd, answer):
    legacy.script(*[answer] * 4)

    with caplog.at_level(logging.DEBUG):
        error = ask("my secret diary").error
    captured = capfd.readouterr()

    written = "".join(traceback.format_exception(error)) + repr(vars(error)) + caplog.text
    written += captured.out + captured.err
    assert KEY not in written
    assert "secret" not in written
    assert error.__context__ is None
    assert error.__cause__ is None

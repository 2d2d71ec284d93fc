"""An answer that is longer than one request generates is continued at most once."""

import base64

import pytest

from messaging.gemini import Request
from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import Asking, ask, request_for

TOKEN = base64.b64encode(b"\xff\xfe checkpoint").decode()
COUNTS = {"promptTokenCount": 50, "candidatesTokenCount": 4}


def cut(text="One ", *, token=TOKEN, **fields):
    return Answer(chunks=[text], finish_reason="CONTINUATION", continuation_token=token, **fields)


def argon(prompt="Hello"):
    request = request_for(prompt, system="Answer in verse.")
    return Request("gemini-4-argon", request.system, request.contents, 64_000)


@pytest.fixture(autouse=True)
def on(settings):
    settings.GEMINI_CONTINUE = True


def sent_token(received):
    token = received.body.get("continuationToken")
    return token and base64.urlsafe_b64decode(token)


def test_continuation_is_the_same_request_with_the_token(gemini):
    gemini.script(cut(usage_counts=COUNTS), Answer(chunks=["two."], usage_counts=COUNTS))

    outcome = ask(argon())

    first, second = gemini.requests
    assert outcome.deltas == ["One ", "two."]
    assert (outcome.completion.finish_reason, outcome.completion.provider_code) == ("stop", "")
    assert (sent_token(first), sent_token(second)) == (None, b"\xff\xfe checkpoint")
    assert {**second.body, "continuationToken": None} == {**first.body, "continuationToken": None}
    assert (outcome.completion.usage.prompt_tokens, outcome.completion.requests) == (100, 2)
    assert outcome.completion.usage.output_tokens == 8


def test_answer_is_continued_once(gemini):
    gemini.script(cut(), cut("two "), Answer(chunks=["three."]))

    outcome = ask(argon())

    assert outcome.text == "One two "
    assert outcome.completion.finish_reason == "max_tokens"
    assert outcome.completion.provider_code == "CONTINUATION"
    assert len(gemini.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        cut(token=""),
        cut(token="no base64!"),
        cut(token=7),
        cut(token=["x"]),
        cut(token="é"),
        Answer(chunks=["One "], finish_reason="MAX_TOKENS", continuation_token=TOKEN),
        Answer(chunks=["One "], finish_reason="STOP", continuation_token=TOKEN),
    ],
    ids=lambda answer: f"{answer.finish_reason}-{ascii(answer.continuation_token)}",
)
def test_answer_without_reason_or_token_is_not_continued(gemini, answer):
    gemini.script(answer, Answer(chunks=["two."]))

    outcome = ask(argon())

    assert (outcome.text, outcome.completion.requests) == ("One ", 1)
    assert len(gemini.requests) == 1


def test_other_models_are_not_continued(gemini):
    gemini.script(cut(), Answer(chunks=["two."]))

    assert ask().completion.finish_reason == "max_tokens"
    assert len(gemini.requests) == 1


def test_answer_is_not_continued_unless_the_setting_is_on(gemini, settings):
    settings.GEMINI_CONTINUE = False
    gemini.script(cut(), Answer(chunks=["two."]))

    assert ask(argon()).completion.finish_reason == "max_tokens"
    assert len(gemini.requests) == 1


def test_older_sdk_never_continues(gemini, settings):
    settings.GEMINI_BACKEND = "messaging.gemini.google_generativeai.Backend"
    gemini.script(cut(), Answer(chunks=["two."]))

    assert ask(argon()).completion.finish_reason == "max_tokens"
    assert len(gemini.requests) == 1


@pytest.mark.parametrize(
    ("second", "thinking_tokens"),
    [
        (Answer.unavailable(), 0),
        (Answer.rate_limited(5), 0),
        (Answer.too_long(), 0),
        (Answer(status=400), 0),
        (Answer(raw_body="<html>"), 0),
        (Answer(chunks=[], thoughts=["12345678"], ending="drop"), 2),
        (Answer(chunks=[], thoughts=["12345678"], finish_reason="MALFORMED_RESPONSE"), 2),
    ],
)
def test_first_part_stands_if_the_continuation_fails_before_text(gemini, second, thinking_tokens):
    gemini.script(cut(), second, Answer(chunks=["Other."]))

    outcome = ask(argon())

    assert outcome.text == "One "
    assert outcome.completion.finish_reason == "max_tokens"
    assert outcome.completion.usage.thinking_tokens == thinking_tokens
    assert len(gemini.requests) == 2


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (Answer(chunks=["two"], ending="drop"), "interrupted"),
        (Answer(chunks=["two"], finish_reason="SAFETY"), "blocked"),
        (Answer(chunks=[], finish_reason="SAFETY"), "blocked"),
        (Answer(block_reason="SAFETY"), "blocked"),
    ],
)
def test_failure_after_text_has_the_usage_of_both_requests(gemini, second, code):
    gemini.script(cut(usage_counts=COUNTS), second, Answer(chunks=["Other."]))

    outcome = ask(argon())

    assert (outcome.error.code, outcome.error.usage.output_tokens > 3) == (code, True)
    assert outcome.error.usage.prompt_tokens > 50
    assert len(gemini.requests) == 2


def test_stop_ends_the_continuation(gemini):
    gemini.script(cut(), Answer(chunks=["two"], ending="hang"))
    asking = Asking(argon())

    gemini.wait_for(lambda _: asking.outcome.text == "One two")
    asking.cancelled.cancel("stopped")

    outcome = asking.finish(5)
    assert outcome.cancelled.usage.output_tokens == 2
    gemini.wait_for(lambda fake: fake.requests[1].client_closed)


def test_stop_before_the_continuation_has_text_leaves_the_first_part(gemini):
    gemini.script(cut(), Answer(chunks=["two"], first_delay=60))
    asking = Asking(argon())

    gemini.wait_for(lambda fake: len(fake.requests) == 2)
    asking.cancelled.cancel("stopped")

    assert asking.finish(5).completion.finish_reason == "max_tokens"
    assert asking.outcome.text == "One "


@pytest.mark.parametrize("second", [Answer(first_delay=60), Answer(chunks=["two"], ending="hang")])
def test_deadlines_hold_for_the_continuation(gemini, settings, second):
    settings.GEMINI_IDLE_SECONDS = 0.5
    gemini.script(cut(), second)

    outcome = ask(argon())

    if second.chunks:
        assert (outcome.error.code, outcome.error.clock) == ("timeout", "idle")
    else:
        assert (outcome.text, outcome.completion.finish_reason) == ("One ", "max_tokens")
    gemini.wait_for(lambda fake: fake.requests[1].client_closed)


def test_both_parts_together_stay_below_the_bound(gemini, monkeypatch):
    monkeypatch.setattr("messaging.gemini.answer.MOST_TEXT_BYTES", 10)
    gemini.script(cut("1234567"), Answer(chunks=["89abcdef"], ending="hang"))

    outcome = ask(argon())

    assert outcome.text == "123456789a"
    assert outcome.completion.finish_reason == "max_tokens"

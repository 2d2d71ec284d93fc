"""Which failures are retried, how often and when."""

import pytest

from messaging.gemini import Backend, GeminiError, Retries, TextDelta
from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import Asking, ask

OVERLOAD = GeminiError("unavailable", "Overloaded.", permanent=False)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_temporary_failure_is_retried_until_one_reply_comes(gemini, status):
    gemini.script(*[Answer.unavailable(status)] * 2, Answer(chunks=["Right", "."]))

    outcome = ask()

    assert outcome.deltas == ["Right", "."]
    assert len(gemini.requests) == 3


def test_temporary_failure_is_tried_at_most_four_times(gemini):
    gemini.script(*[Answer.unavailable()] * 5)

    outcome = ask()

    assert outcome.error.code == "unavailable"
    assert len(gemini.requests) == 4


def test_failure_after_the_first_thought_is_tried_again(gemini):
    gemini.script(Answer(thoughts=["Hm."], chunks=[], ending="drop"), Answer(chunks=["Right."]))

    outcome = ask()

    assert outcome.deltas == ["Right."]


@pytest.mark.parametrize(
    "last", [Answer(chunks=["Right."]), Answer(chunks=["Right."], ending="drop"), Answer.bad_key()]
)
def test_usage_has_the_thoughts_of_failed_tries(gemini, last):
    thoughts = Answer(thoughts=["12345678"], chunks=[], ending="drop", tool_tokens=5)
    gemini.script(thoughts, Answer.unavailable(), thoughts, last)

    outcome = ask()

    usage = (outcome.completion or outcome.error).usage
    assert (usage.thinking_tokens, usage.tool_prompt_tokens, usage.estimated) == (4, 10, False)
    assert len(gemini.requests) == 4


def test_usage_without_failed_tries_is_that_of_one_request(gemini):
    gemini.script(Answer.unavailable(), Answer(chunks=["Right."]))

    assert ask().completion.requests == 1


def test_error_in_the_stream_before_any_text_is_tried_again(google):
    google.script(Answer(chunks=[], ending="error"), Answer(chunks=["Right."]))

    outcome = ask()

    assert outcome.deltas == ["Right."]
    assert len(google.requests) == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer.rate_limited(21, day=True), "rate_limited"),
        (Answer.bad_key(), "misconfigured"),
        (Answer(status=401), "misconfigured"),
        (Answer(status=403), "misconfigured"),
        (Answer(status=404), "misconfigured"),
        (Answer(status=400, error_status="FAILED_PRECONDITION"), "misconfigured"),
        (Answer.too_long(), "context_too_long"),
        (Answer(status=400), "bad_request"),
    ],
    ids=["day-quota", "bad-key", "401", "403", "404", "region", "too-long", "400"],
)
def test_permanent_failure_is_one_request_and_typed(gemini, answer, code):
    gemini.script(answer, Answer(chunks=["never asked for"]))

    outcome = ask()

    assert outcome.error.code == code
    assert outcome.error.permanent
    assert outcome.deltas == []
    assert len(gemini.requests) == 1


def test_permanent_error_in_the_stream_is_one_request_and_typed(google):
    google.script(Answer(chunks=[], ending="error", streamed_status=404))

    outcome = ask()

    assert outcome.error.code == "misconfigured"
    assert len(google.requests) == 1


class OverloadedAfterText(Backend):
    """A backend that calls a failure in mid-answer temporary."""

    def stream(self, request, *, cancelled, on_delta):
        on_delta(TextDelta("Half of "))
        raise OVERLOAD


def test_nothing_is_tried_again_after_text_whatever_the_backend_says(settings):
    settings.GEMINI_BACKEND = f"{__name__}.OverloadedAfterText"

    outcome = ask()

    assert outcome.deltas == ["Half of "]
    assert outcome.error is OVERLOAD


def test_daily_quota_differs_from_the_quota_of_a_minute(gemini):
    gemini.script(Answer.rate_limited(day=True), Answer.rate_limited(300))

    of_day, of_minute = ask().error, ask().error

    assert (of_day.scope, of_day.retry_after) == ("day", None)
    assert (of_minute.scope, of_minute.retry_after) == ("minute", 300)


@pytest.mark.parametrize("seconds", [0.7, 1])
def test_second_request_waits_as_long_as_retry_info_asks(gemini, seconds):
    gemini.script(Answer.rate_limited(seconds), Answer(chunks=["Right."]))

    outcome = ask()

    first, second = gemini.requests
    assert outcome.text == "Right."
    assert second.at - first.at >= seconds


def test_retry_info_beyond_the_budget_is_left_to_the_caller(gemini):
    gemini.script(Answer.rate_limited(46), Answer(chunks=["never asked for"]))

    outcome = ask()

    assert (outcome.error.code, outcome.error.retry_after) == ("rate_limited", 46)
    assert not outcome.error.permanent
    assert len(gemini.requests) == 1


def test_connection_that_closes_when_used_again_is_tried_again(google):
    google.script(Answer(chunks=["One."], ending="doomed"), Answer(chunks=["Two."]))

    first, second = ask(), ask()

    assert (first.text, second.text) == ("One.", "Two.")
    assert second.error is None


def test_refused_connection_is_unavailable(google, settings):
    settings.GEMINI_API_BASE = "http://127.0.0.1:1"

    outcome = ask()

    assert outcome.error.code == "unavailable"
    assert google.requests == []


def test_wait_between_tries_ends_at_once_when_stopped(gemini):
    gemini.script(Answer.rate_limited(30))
    asking = Asking()
    gemini.wait_for(lambda fake: fake.requests)

    asking.cancelled.cancel("stopped")
    outcome = asking.finish(seconds=1)

    assert outcome.cancelled.reason == "stopped"
    assert len(gemini.requests) == 1


@pytest.mark.parametrize(("tried", "longest"), [(1, 2.0), (2, 4.0), (3, 8.0)])
def test_waits_are_spread_from_half_a_second_to_a_doubling_bound(tried, longest):
    waits = [Retries().wait_before_next(OVERLOAD, tried=tried, waited=0.0) for _ in range(2000)]

    assert min(waits) >= 0.5
    assert max(waits) <= longest
    assert max(waits) - min(waits) > 0.8 * (longest - 0.5)


def test_waits_of_one_reply_stay_within_the_budget():
    error = GeminiError("unavailable", "Overloaded.", permanent=False, retry_after=30.0)

    assert Retries().wait_before_next(error, tried=1, waited=0.0) >= 30.0
    assert Retries().wait_before_next(error, tried=2, waited=30.0) is None

"""Deadlines and stops: both end a thread that waits on the socket, and the connection."""

import time

import pytest

from messaging.gemini import Cancellation
from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import Asking, ask

# For what depends on the program alone. The fixture imports the SDK before the deadline runs.
through_one_sdk = pytest.mark.parametrize("google", ["google_genai"], indirect=True)

LATE = 5.0  # how late a deadline may fire on a busy machine


def is_closed_by_client(fake):
    return fake.requests and fake.requests[-1].client_closed


def timed(prompt="Hello"):
    began = time.monotonic()
    outcome = ask(prompt)
    return outcome, time.monotonic() - began


def test_silence_before_the_first_byte_times_out(google, settings):
    settings.GEMINI_FIRST_BYTE_SECONDS = 1.0
    google.script(Answer(first_delay=60), Answer(chunks=["never asked for"]))

    outcome, took = timed()

    assert (outcome.error.code, outcome.error.clock) == ("timeout", "first_byte")
    assert 1.0 <= took < 1.0 + LATE
    assert outcome.error.retryable
    google.wait_for(is_closed_by_client)
    assert len(google.requests) == 1


@through_one_sdk
def test_hang_after_headers_counts_as_no_first_byte(google, settings):
    settings.GEMINI_FIRST_BYTE_SECONDS = 0.4
    google.script(Answer(chunks=[], ending="hang"))

    outcome, took = timed()

    assert (outcome.error.code, outcome.error.clock) == ("timeout", "first_byte")
    assert 0.4 <= took < 0.4 + LATE


@through_one_sdk
def test_hang_in_mid_answer_times_out_and_keeps_the_text(google, settings):
    settings.GEMINI_IDLE_SECONDS = 0.4
    google.script(Answer(chunks=["One", " two"], ending="hang"))

    outcome, took = timed()

    assert (outcome.error.code, outcome.error.clock) == ("timeout", "idle")
    assert outcome.text == "One two"
    assert outcome.error.usage.output_tokens > 0
    assert 0.4 <= took < 0.4 + LATE
    google.wait_for(is_closed_by_client)


@through_one_sdk
def test_trickle_without_end_trips_the_total_deadline(google, settings):
    settings.GEMINI_IDLE_SECONDS = 1.5
    settings.GEMINI_TOTAL_SECONDS = 3.0
    google.script(Answer(chunks=["tick "], ending="trickle", chunk_delay=0.1))

    outcome, took = timed()

    assert (outcome.error.code, outcome.error.clock) == ("timeout", "total")
    assert len(outcome.deltas) > 3
    assert 3.0 <= took < 3.0 + LATE
    google.wait_for(is_closed_by_client)


def test_thoughts_show_life_but_do_not_put_off_the_total_deadline(google, settings):
    settings.GEMINI_FIRST_BYTE_SECONDS = 1.5
    settings.GEMINI_IDLE_SECONDS = 1.5
    settings.GEMINI_TOTAL_SECONDS = 3.0
    google.script(Answer(thoughts=["Hm."], chunks=[], ending="trickle", chunk_delay=0.1))

    outcome, took = timed()

    assert (outcome.error.clock, outcome.deltas) == ("total", [])
    assert took >= 3.0


@through_one_sdk
def test_answer_slower_than_the_first_byte_deadline_in_all_is_whole(google, settings):
    settings.GEMINI_FIRST_BYTE_SECONDS = 2.0
    settings.GEMINI_IDLE_SECONDS = 2.0
    google.script(Answer(chunks=list("abcdefgh"), chunk_delay=0.3))

    outcome, took = timed()

    assert outcome.text == "abcdefgh"
    assert outcome.completion is not None
    assert took > 2.0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(first_delay=60),
        Answer(chunks=["One", " two"], ending="hang"),
    ],
    ids=["before-the-answer", "between-chunks"],
)
def test_stop_ends_the_thread_and_closes_the_connection_within_a_second(google, answer):
    google.script(answer)
    asking = Asking()
    google.wait_for(lambda fake: fake.requests)
    if not answer.first_delay:
        google.wait_for(lambda _: asking.outcome.deltas)

    stopped_at = time.monotonic()
    asking.cancelled.cancel("stopped")
    outcome = asking.finish(seconds=1)
    google.wait_for(is_closed_by_client)

    assert outcome.cancelled.reason == "stopped"
    # Gemini has the prompt, whether it has begun to answer or not.
    assert outcome.cancelled.usage.prompt_tokens > 0
    assert outcome.error is None
    assert google.requests[0].ended_at - stopped_at < 1
    assert len(google.requests) == 1


def test_stop_before_the_start_asks_nothing(gemini):
    cancelled = Cancellation()
    cancelled.cancel("stopped")

    outcome = ask(cancelled=cancelled)

    assert outcome.cancelled.reason == "stopped"
    assert gemini.requests == []


def test_stop_of_one_stream_leaves_its_neighbours_alone(google):
    google.script(*[Answer(chunks=list("abcdef"), chunk_delay=0.1) for _ in range(6)])
    asked = [Asking(f"prompt {number}") for number in range(6)]
    google.wait_for(lambda _: all(asking.outcome.deltas for asking in asked))

    for asking in asked[::2]:
        asking.cancelled.cancel("stopped")

    assert all(asking.finish().cancelled for asking in asked[::2])
    assert [asking.finish().text for asking in asked[1::2]] == ["abcdef"] * 3


def test_connection_is_used_again_after_a_stop_of_its_earlier_stream(google):
    earlier = Cancellation()
    ask("first", cancelled=earlier)

    earlier.cancel("too late")
    outcome = ask("second")

    assert "second" in outcome.text
    assert google.accepted_connections == 1

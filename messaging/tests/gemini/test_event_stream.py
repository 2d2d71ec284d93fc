"""The default backend understands each form of the standard for server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import logging

import pytest

from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import Asking, ask

ONE = '{"candidates": [{"content": {"parts": [{"text": "One\u2028 "}], "role": "model"}}]}'
TWO = (
    '{"candidates": [{"content": {"parts": [{"text": "two."}]}, "finishReason": "STOP"}],'
    ' "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3}}'
)
LINES = '{"candidates":\ndata: [{"content": {"parts": [{"text":\ndata:"One\u2028 "}]}}]}'


def event_stream(body, **fields):
    return Answer(raw_body=body, raw_type="text/event-stream", **fields)


@pytest.mark.parametrize(
    "body",
    [
        f"data: {ONE}\n\ndata: {TWO}\n\n",
        f"data:{ONE}\n\ndata:{TWO}\n\n",
        f"data:  {ONE}\n\ndata:\t{TWO}\n\n",
        f"data:{ONE}\r\n\r\ndata:{TWO}\r\n\r\n",
        f"data:{ONE}\r\rdata:{TWO}\r\r",
        f"data:{ONE}\r\n\rdata:{TWO}\n\r\n",
        f"\ufeffdata:{ONE}\n\ndata:{TWO}\n\n",
        f"\n\n: hello\n\ndata:{ONE}\n\n:\n:{{}}\ndata:{TWO}\n\n",
        f"event: message\nid: 7\nretry: 10\ndata: {ONE}\n\nid\nretry: x\ndata: {TWO}\n\n",
        f"event: chunk\ndata: {ONE}\n\nevent: chunk\ndata: {TWO}\n\n",
        f"event: ping\ndata: now\n\nevent: ping\n\ndata\n\ndata: {ONE}\n\ndata: {TWO}\n\n",
        f"model: gemini\nDATA: no\n data: no\nnothing\ndata: {ONE}\n\ndata: {TWO}\n\n",
        f"data: {LINES}\n\ndata: {TWO}\n\n",
        f"data:{ONE}\n\ndata:{TWO}\n\ndata: [DONE]\n\n",
    ],
)
def test_each_form_of_an_event_is_read(gemini, body):
    gemini.script(event_stream(body))

    outcome = ask()

    assert outcome.deltas == ["One\u2028 ", "two."]
    assert outcome.completion.finish_reason == "stop"
    assert outcome.completion.usage.prompt_tokens == 7
    assert len(gemini.requests) == 1


def test_event_stream_is_utf_8_for_any_charset(gemini):
    gemini.script(
        event_stream(
            f"data:{ONE.replace('One', 'Zażółć')}\n\ndata:{TWO}\n\n",
            headers={"Content-Type": "Text/Event-Stream; charset=iso-8859-1"},
        )
    )

    assert ask().text == "Zażółć\u2028 two."


def test_event_without_its_empty_line_is_discarded(gemini):
    gemini.script(event_stream(f"data: {ONE}\n\ndata: {TWO}\n"))

    outcome = ask()

    assert (outcome.text, outcome.error.code) == ("One\u2028 ", "interrupted")


def test_event_of_several_megabytes_is_read_up_to_the_bound(gemini):
    gemini.script(event_stream("data:" + ONE.replace("One", "x" * 5_000_000) + "\n\n"))

    outcome = ask()

    assert outcome.completion.finish_reason == "max_tokens"
    assert len(outcome.text) == 1_048_576


@pytest.mark.parametrize("before", ["", f"data: {ONE.replace('One', '')}\r\n\r\n"])
def test_bare_error_in_the_stream_is_typed(gemini, before):
    error = {"error": {"code": 404, "status": "NOT_FOUND", "message": "Gone."}}
    gemini.script(event_stream(before.replace("\u2028 ", "") + json.dumps(error, indent=2)))

    error = ask().error

    assert (error.code, error.provider_code) == ("misconfigured", "404 NOT_FOUND")
    assert len(gemini.requests) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(raw_body="<html>Hotel Wi-Fi</html>"), "200 text/html"),
        (Answer(raw_body="", raw_type="text/plain"), "200 text/plain"),
        (Answer(raw_body='"no"', raw_type="application/json"), "200 application/json"),
    ],
)
def test_answer_that_is_no_stream_says_so_to_the_operator(google, answer, code):
    google.script(*[answer] * 4)

    error = ask().error

    assert (error.code, error.provider_code) == ("unavailable", code)
    assert "GEMINI_API_BASE" in error.detail
    assert len(google.requests) == 4


@pytest.mark.parametrize(
    "answer",
    [
        Answer(raw_body=f"[{ONE}, {TWO}]", raw_type="application/json"),
        event_stream(""),
        event_stream(": nothing\n\n"),
        event_stream(f"data: [{ONE}]\n\n"),
        event_stream("data: <html>\n\n"),
        event_stream('data: {"detail": "no"}\n\n'),
        event_stream("data: " + "[" * 100_000 + "\n\n"),
        event_stream('data: {"candidates": [{"content": {"parts": [{"text": 5}]}}]}\n\n'),
    ],
    ids=lambda answer: ascii(answer.raw_body[:20]),
)
def test_stream_without_messages_says_so_to_the_operator(gemini, answer):
    gemini.script(*[answer] * 4)

    error = ask().error

    assert (error.code, error.retryable) == ("unavailable", True)
    assert "GEMINI_API_BASE" in error.detail


@pytest.mark.parametrize(
    "odd",
    [
        {"promptTokenCount": 1.5},
        {"promptTokenCount": "many"},
        {"promptTokenCount": True},
        {"promptTokenCount": [7]},
        {"promptTokenCount": 10**40},
        {"promptTokenCount": -7, "candidatesTokenCount": {}},
    ],
    ids=str,
)
def test_count_that_is_no_whole_number_is_not_reported(google, odd):
    google.script(Answer(chunks=["1234"], usage_counts={"candidatesTokenCount": 3, **odd}))

    outcome = ask("12345678")

    assert outcome.text == "1234"
    usage = outcome.completion.usage
    assert (usage.prompt_tokens, usage.estimated) == (2, True)
    assert 0 < usage.output_tokens <= 3


@pytest.mark.parametrize("count", [7, "7", 7.0])
def test_whole_number_in_another_form_is_a_count(google, count):
    google.script(
        Answer(chunks=["1"], usage_counts={"promptTokenCount": count, "candidatesTokenCount": 3})
    )

    usage = ask().completion.usage

    assert (usage.prompt_tokens, usage.output_tokens, usage.estimated) == (7, 3, False)


@pytest.mark.parametrize(
    "odd",
    [
        {"modelVersion": 5},
        {"modelVersion": ["g"]},
        {"usageMetadata": 5},
        {"usageMetadata": [1]},
        {"promptFeedback": "fine"},
        {"promptFeedback": {"blockReason": 5}},
        {"responseId": {}, "newField": [{"a": 1}], "createTime": -1, "error": None},
    ],
    ids=str,
)
def test_value_of_a_wrong_type_leaves_the_text(google, odd):
    google.script(Answer(messages=[json.loads(ONE), {**json.loads(TWO), **odd}]))

    outcome = ask()

    assert outcome.text == "One\u2028 two."
    assert outcome.completion.finish_reason == "stop"


@pytest.mark.parametrize(
    "odd",
    [
        {"safetyRatings": "fine", "groundingMetadata": 5, "citationMetadata": []},
        {"tokenCount": "many", "index": "first", "avgLogprobs": "low"},
    ],
    ids=str,
)
def test_unused_value_of_a_candidate_leaves_the_text(google, odd):
    candidate = {**json.loads(TWO)["candidates"][0], **odd}
    google.script(Answer(messages=[{"candidates": [candidate]}]))

    assert ask().text == "two."


@pytest.mark.parametrize(
    ("chunks", "deltas"),
    [
        (["\ud83d", "\ude00"], ["😀"]),
        (["a\ud83d", "\ude00b"], ["a", "😀b"]),
        (["a", "\ud83d", "\ude00\ud83d", "\ude80!"], ["a", "😀", "🚀!"]),
        (["\ud83d\ude00"], ["😀"]),
        (["a\ud83d", "b", "\ude00c"], ["a", "?b", "?c"]),
        (["a", "\ud83d"], ["a"]),
    ],
    ids=ascii,
)
def test_halves_of_a_character_in_two_events_are_joined(google, chunks, deltas):
    google.script(Answer(messages=[text_message(chunk) for chunk in [*chunks, ""]]))

    outcome = ask()

    assert outcome.deltas == deltas
    assert outcome.completion.finish_reason == "stop"


def test_half_of_a_thought_joins_no_half_of_the_answer(google):
    thought = {"text": "Hm\ud83d", "thought": True}
    messages = [{"candidates": [{"content": {"parts": [thought]}}]}]
    google.script(Answer(messages=[*messages, text_message("\ude00"), text_message("")]))

    assert ask().text == "?"


def text_message(text):
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}}
    return {"candidates": [candidate if text else {"finishReason": "STOP"}]}


def test_stream_is_read_event_by_event(gemini):
    gemini.script(Answer(chunks=["One", "two"], ending="hang", fragment_bytes=3))
    asking = Asking()

    gemini.wait_for(lambda _: asking.outcome.deltas == ["One", "two"])

    asking.cancelled.cancel("test over")
    asking.finish()
    gemini.wait_for(lambda fake: fake.requests[0].client_closed)


def test_text_of_an_unreadable_stream_is_in_no_log(gemini, caplog):
    gemini.script(*[event_stream("data: my secret diary\n\n")] * 4)

    with caplog.at_level(logging.DEBUG):
        error = ask().error

    assert "secret" not in repr(vars(error)) + caplog.text
    assert error.__context__ is None
    assert error.__cause__ is None

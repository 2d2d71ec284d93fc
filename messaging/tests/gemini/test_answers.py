"""What comes of Gemini's answers, good and bad.

A test with `google` runs through each of Google's SDKs: what it checks depends on the SDK.
"""

import pytest

from messaging.gemini import Cancellation, Content, TextPart, stream_reply
from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import KEY, MODEL, Asking, ask, request_for

AWKWARD = ["Zażółć e\u0301\r\n", "👩‍👩‍👧‍👦 \u2028 \x85", ' \\" {[ ', "\ttab\n\n", "🇮🇳"]


def test_answer_is_streamed_in_the_chunks_that_upstream_sent(google):
    google.script(Answer(chunks=["One", " two", " three."]))

    outcome = ask()

    assert outcome.deltas == ["One", " two", " three."]
    assert outcome.completion.finish_reason == "stop"
    assert outcome.completion.model_version == MODEL


def test_text_is_byte_for_byte_what_upstream_sent(google):
    google.script(Answer(chunks=AWKWARD, fragment_bytes=1))

    outcome = ask()

    assert outcome.deltas == AWKWARD
    assert outcome.completion is not None


def test_each_delta_comes_before_the_next_chunk_is_sent(google):
    google.script(Answer(chunks=["first", "second"], ending="hang"))
    asking = Asking()

    google.wait_for(lambda _: asking.outcome.deltas == ["first", "second"])
    asking.cancelled.cancel("test over")
    asking.finish()


def test_request_carries_the_conversation_the_system_prompt_and_the_key(google):
    before = (
        Content("user", (TextPart("Hi"),)),
        Content("model", (TextPart("Hello! "), TextPart("👋"))),
    )

    ask(request_for("And now?", system="Answer in verse.", before=before))

    (received,) = google.requests
    assert received.path.startswith(f"/v1beta/models/{MODEL}:streamGenerateContent")
    assert received.headers["x-goog-api-key"] == KEY
    assert KEY not in received.path
    assert received.body["contents"] == [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [{"text": "Hello! "}, {"text": "👋"}]},
        {"role": "user", "parts": [{"text": "And now?"}]},
    ]
    assert received.body["systemInstruction"]["parts"][0]["text"] == "Answer in verse."
    assert received.body["generationConfig"]["maxOutputTokens"] == 256


def test_empty_system_prompt_is_not_sent(google):
    ask(request_for("Hello"))

    assert not google.requests[0].body.get("systemInstruction")


def test_usage_is_what_upstream_reported(google):
    google.script(Answer(chunks=["12345678"]))

    usage = ask().completion.usage

    assert usage.output_tokens == 2
    assert usage.prompt_tokens > 0
    assert not usage.estimated


def test_usage_is_estimated_and_says_so_without_a_report(google):
    google.script(Answer(chunks=["12345678"], usage=False))

    usage = ask("1234").completion.usage

    assert (usage.prompt_tokens, usage.output_tokens, usage.estimated) == (1, 2, True)


def test_thoughts_are_never_part_of_the_text(google):
    google.script(Answer(thoughts=["They want", " a rhyme."], chunks=["Roses", " are red."]))

    outcome = ask()

    assert outcome.text == "Roses are red."
    assert outcome.completion.finish_reason == "stop"


def test_thinking_tokens_are_counted_apart(gemini):
    gemini.script(Answer(thoughts=["12345678"], chunks=["1234"]))

    usage = ask().completion.usage

    assert (usage.thinking_tokens, usage.output_tokens) == (2, 1)


def test_answer_of_the_longest_length_is_final(google):
    google.script(Answer(chunks=["Once upon"], finish_reason="MAX_TOKENS"))

    assert ask().completion.finish_reason == "max_tokens"


@pytest.mark.filterwarnings("ignore:NEVER_SEEN_BEFORE", "ignore:Unrecognized FinishReason")
def test_unknown_finish_reason_is_other(google):
    google.script(Answer(chunks=["Fine."], finish_reason="NEVER_SEEN_BEFORE"))

    outcome = ask()

    assert outcome.text == "Fine."
    assert outcome.completion.finish_reason == "other"


def test_blocked_prompt_is_blocked_and_not_tried_again(google):
    google.script(Answer(block_reason="SAFETY"))

    outcome = ask()

    assert (outcome.error.code, outcome.error.retryable) == ("blocked", False)
    assert "prompt" in outcome.error.detail
    assert len(google.requests) == 1


def test_blocked_answer_keeps_the_text_before_it(google):
    google.script(Answer(chunks=["It begins", " well"], finish_reason="SAFETY"))

    outcome = ask()

    assert outcome.text == "It begins well"
    assert outcome.error.code == "blocked"
    assert outcome.error.usage.output_tokens > 0


@pytest.mark.parametrize("reason", ["RECITATION", "PROHIBITED_CONTENT"])
def test_answer_that_ends_for_its_content_is_blocked(gemini, reason):
    gemini.script(Answer(chunks=["It begins"], finish_reason=reason))

    assert ask().error.code == "blocked"


def test_answer_without_content_is_empty(google):
    google.script(Answer(chunks=[]))

    outcome = ask()

    assert (outcome.error.code, outcome.deltas) == ("empty", [])
    assert len(google.requests) == 1


def test_answer_of_thoughts_alone_is_empty(gemini):
    gemini.script(Answer(chunks=[], thoughts=["Hm."], finish_reason="MAX_TOKENS"))

    outcome = ask()

    assert (outcome.error.code, outcome.deltas) == ("empty", [])


@pytest.mark.parametrize("ending", ["drop", "error"])
def test_stream_that_breaks_off_is_interrupted_and_nothing_is_joined_on(google, ending):
    google.script(Answer(chunks=["One", " two"], ending=ending), Answer(chunks=["Other"]))

    outcome = ask()

    assert outcome.deltas == ["One", " two"]
    assert (outcome.error.code, outcome.error.retryable) == ("interrupted", True)
    assert outcome.error.usage.prompt_tokens > 0
    assert len(google.requests) == 1


def test_stream_without_a_finish_reason_is_interrupted(gemini):
    gemini.script(Answer(chunks=["One", " two"], finish_reason=""))

    outcome = ask()

    assert outcome.text == "One two"
    assert outcome.error.code == "interrupted"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(raw_body="<html><body>Welcome to the hotel Wi-Fi</body></html>"),
        Answer(raw_body="<html>Bad gateway</html>", status=502),
        Answer(raw_body="", raw_type="application/json"),
        Answer(raw_body="", raw_type="application/json", status=500),
        Answer(raw_body='{"candidates": [{', raw_type="application/json"),
        Answer(raw_body="data: nonsense\r\n\r\n", raw_type="text/event-stream"),
        Answer(raw_body="[1, 2]", raw_type="application/json"),
        Answer(raw_body="Service Unavailable", raw_type="text/plain", status=503),
    ],
    ids=lambda answer: f"{answer.status}-{answer.raw_body[:12]!r}",
)
def test_body_that_is_not_geminis_is_unavailable_and_tried_again(gemini, answer):
    gemini.script(answer, Answer(chunks=["Right."]))

    outcome = ask()

    assert outcome.text == "Right."
    assert len(gemini.requests) == 2


def test_garbage_every_time_ends_as_unavailable(google):
    google.script(*[Answer(raw_body="<html>")] * 4)

    outcome = ask()

    assert (outcome.error.code, outcome.error.retryable) == ("unavailable", True)
    assert len(google.requests) == 4


def test_fault_of_on_delta_is_no_fault_of_gemini(google):
    """The SDKs raise TypeError for a body that is not Gemini's."""
    fault = TypeError("ours")
    google.script(Answer(chunks=["One"], ending="hang"))

    def on_delta(delta):
        raise fault

    with pytest.raises(TypeError) as raised:
        stream_reply(request_for("Hello"), cancelled=Cancellation(), on_delta=on_delta)

    assert raised.value is fault
    google.wait_for(lambda fake: fake.requests[0].client_closed)

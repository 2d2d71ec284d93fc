"""What comes of an answer for each finish reason that Google's SDKs know."""

import pytest

from messaging.gemini.responses.finish_reasons import OUTCOMES, Outcome
from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import ask

TEXT = {"content": {"parts": [{"text": "Half an ans"}], "role": "model"}}
WITH_TEXT = {
    Outcome.STOP: "stop",
    Outcome.MAX_TOKENS: "max_tokens",
    Outcome.OTHER: "other",
    Outcome.BLOCKED: "blocked",
    Outcome.BROKEN: "interrupted",
    Outcome.UNFINISHED: "interrupted",
}


def message(**candidate):
    return {"candidates": [{**candidate, "index": 0}]}


def end_of(outcome):
    return outcome.error.code if outcome.error else outcome.completion.finish_reason


def test_table_has_each_finish_reason_of_both_sdks():
    from google.ai.generativelanguage import Candidate
    from google.genai.types import FinishReason

    known = {reason.value for reason in FinishReason} | set(Candidate.FinishReason.__members__)

    assert known - OUTCOMES.keys() == set(), "give the new reasons an outcome"
    assert OUTCOMES.keys() - known == set(), "no SDK knows these reasons any more"


def test_reasons_that_gemini_added_later_have_their_outcome():
    added = {
        Outcome.MAX_TOKENS: ["CONTINUATION"],
        Outcome.BLOCKED: [
            *["MODEL_ARMOR", "LANGUAGE", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"],
        ],
        Outcome.BROKEN: ["MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL"],
    }

    for outcome, reasons in added.items():
        assert {OUTCOMES[reason] for reason in reasons} == {outcome}


@pytest.mark.parametrize("reason", OUTCOMES)
def test_answer_with_text_ends_as_the_table_has_it(google, reason):
    google.script(Answer(chunks=["Once ", "upon"], finish_reason=reason))

    outcome = ask()

    assert outcome.text == "Once upon"
    assert end_of(outcome) == WITH_TEXT[OUTCOMES[reason]]
    assert len(google.requests) == 1


@pytest.mark.parametrize("reason", OUTCOMES)
def test_answer_without_text_is_empty_or_blocked(gemini, reason):
    gemini.script(*[Answer(chunks=[], thoughts=["Hm."], finish_reason=reason)] * 2)

    outcome = ask()

    assert end_of(outcome) == ("blocked" if OUTCOMES[reason] is Outcome.BLOCKED else "empty")


def test_broken_answer_without_text_gets_one_more_try(google):
    broken = Answer(chunks=[], finish_reason="MALFORMED_FUNCTION_CALL")
    google.script(broken, Answer(chunks=["Right."]), broken, broken, broken)

    assert ask().text == "Right."
    assert end_of(ask()) == "empty"
    assert len(google.requests) == 4


@pytest.mark.parametrize("reason", ["OTHER", "STOP", "NO_IMAGE"])
def test_answer_without_text_is_tried_once(gemini, reason):
    gemini.script(*[Answer(chunks=[], finish_reason=reason)] * 2)

    assert end_of(ask()) == "empty"
    assert len(gemini.requests) == 1


@pytest.mark.parametrize("reason", ["MODEL_ARMOR", "MALFORMED_RESPONSE"])
def test_error_names_the_reason_of_google(google, reason):
    google.script(Answer(chunks=["Once"], finish_reason=reason))

    assert ask().error.provider_code == reason


@pytest.mark.parametrize("reason", ["CONTINUATION", "ESCALATION", "OTHER"])
def test_completion_names_the_reason_of_google(google, reason):
    google.script(Answer(chunks=["Once"], finish_reason=reason))

    assert ask().completion.provider_code == reason


@pytest.mark.filterwarnings("ignore:Unrecognized BlockReason")
@pytest.mark.parametrize("reason", ["SAFETY", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK"])
def test_prompt_is_blocked_for_any_reason(google, reason):
    google.script(Answer(block_reason=reason))

    error = ask().error

    assert (error.code, error.provider_code) == ("blocked", reason)


@pytest.mark.parametrize("ending", ["end", "drop", "error"])
@pytest.mark.parametrize("reason", ["STOP", "MAX_TOKENS", "SAFETY"])
def test_text_after_a_finish_reason_voids_the_reason(google, reason, ending):
    google.script(Answer(messages=[message(finishReason=reason), message(**TEXT)], ending=ending))

    outcome = ask()

    assert outcome.text == "Half an ans"
    assert outcome.error.code == "interrupted"
    assert len(google.requests) == 1


def test_last_finish_reason_counts(google):
    last = message(**TEXT, finishReason="MAX_TOKENS")
    google.script(Answer(messages=[message(finishReason="STOP"), last]))

    assert ask().completion.finish_reason == "max_tokens"


def test_usage_after_the_finish_reason_leaves_the_reason(google):
    usage = {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3}}
    google.script(Answer(messages=[message(**TEXT, finishReason="STOP"), usage], ending="drop"))

    completion = ask().completion

    assert (completion.finish_reason, completion.usage.prompt_tokens) == ("stop", 9)


@pytest.mark.parametrize("text", ["x", "\u00e9", "🦄"])
def test_answer_beyond_the_bound_is_cut_and_not_read_on(google, monkeypatch, text):
    monkeypatch.setattr("messaging.gemini.answer.MOST_TEXT_BYTES", 1_001)
    google.script(Answer(chunks=[text * 200] * 10, ending="hang"))

    outcome = ask()

    assert outcome.completion.finish_reason == "max_tokens"
    assert 997 < len(outcome.text.encode()) <= 1_001
    assert set(outcome.text) == {text}
    assert outcome.completion.usage.output_tokens > 0
    google.wait_for(lambda fake: fake.requests[0].client_closed)
    assert len(google.requests) == 1


def test_answer_of_the_size_of_the_bound_is_whole(google, monkeypatch):
    monkeypatch.setattr("messaging.gemini.answer.MOST_TEXT_BYTES", 20)
    google.script(Answer(chunks=["1234567890"] * 2))

    outcome = ask()

    assert (len(outcome.text), outcome.completion.finish_reason) == (20, "stop")

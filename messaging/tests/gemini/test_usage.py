"""Which of several usage reports of one answer counts."""

import pytest

from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import ask

FIRST = {"promptTokenCount": 50, "candidatesTokenCount": 4, "cachedContentTokenCount": 20}


def message(text, finish_reason="", **counts):
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {"candidates": [candidate], "usageMetadata": counts}


@pytest.mark.parametrize(
    "last", [{}, {"totalTokenCount": 54}, {"promptTokenCount": 0, "candidatesTokenCount": 2}]
)
def test_largest_figure_of_all_reports_counts(google, last):
    google.script(Answer(messages=[message("12345678", **FIRST), message("!", "STOP", **last)]))

    usage = ask().completion.usage

    assert (usage.prompt_tokens, usage.output_tokens, usage.cached_tokens) == (50, 4, 20)
    assert not usage.estimated


def test_figures_of_different_reports_are_joined(google):
    prompt, output = {"promptTokenCount": 50}, {"candidatesTokenCount": 4}
    google.script(Answer(messages=[message("1234", **prompt), message("5", "STOP", **output)]))

    usage = ask().completion.usage

    assert (usage.prompt_tokens, usage.output_tokens, usage.estimated) == (50, 4, False)


@pytest.mark.parametrize(
    ("counts", "prompt", "output"),
    [
        ({"totalTokenCount": 54}, 1, 2),
        ({"promptTokenCount": 50}, 50, 2),
        ({"promptTokenCount": 50, "candidatesTokenCount": 0}, 50, 2),
        ({"promptTokenCount": 0, "candidatesTokenCount": 9}, 1, 9),
    ],
)
def test_missing_figure_is_estimated_and_marked(google, counts, prompt, output):
    google.script(Answer(chunks=["1234", "5678"], usage_counts=counts))

    usage = ask("1234").completion.usage

    assert (usage.prompt_tokens, usage.output_tokens, usage.estimated) == (prompt, output, True)


def test_answer_without_text_needs_no_output_tokens(google):
    google.script(Answer(chunks=[], usage_counts={"promptTokenCount": 50}))

    usage = ask().error.usage

    assert (usage.prompt_tokens, usage.output_tokens, usage.estimated) == (50, 0, False)


def test_interrupted_answer_has_the_largest_figures(google):
    chunks = [message("1234", **FIRST), message("5678", totalTokenCount=54)]
    google.script(Answer(messages=chunks, ending="drop"))

    usage = ask().error.usage

    assert (usage.prompt_tokens, usage.output_tokens, usage.estimated) == (50, 4, False)

"""Which of several usage reports of one answer counts."""

import json

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


def grounded(text, finish_reason="", *, queries, **counts):
    told = message(text, finish_reason, **counts)
    told["candidates"][0]["groundingMetadata"] = {"webSearchQueries": queries}
    return told


def test_tokens_of_tools_and_of_audio_are_counted_apart(gemini):
    gemini.script(Answer(chunks=["Yes."], tool_tokens=900, audio_tokens=320))

    usage = ask().completion.usage

    assert (usage.tool_prompt_tokens, usage.audio_tokens) == (900, 320)
    assert 320 < usage.prompt_tokens < 900
    assert not usage.estimated


def test_audio_of_several_entries_is_summed(gemini):
    details = [{"modality": name, "tokenCount": 7} for name in ("AUDIO", "TEXT", "AUDIO", "NEWER")]
    gemini.script(Answer(messages=[message("1", "STOP", **FIRST, promptTokensDetails=details)]))

    usage = ask().completion.usage

    assert (usage.audio_tokens, usage.estimated) == (14, False)


def test_older_sdk_reports_queries_alone(gemini, settings):
    settings.GEMINI_BACKEND = "messaging.gemini.google_generativeai.Backend"
    gemini.script(Answer(chunks=["Yes."], tool_tokens=900, audio_tokens=320, searches=["rain"]))

    usage = ask().completion.usage

    assert (usage.tool_prompt_tokens, usage.audio_tokens, usage.thinking_tokens) == (0, 0, 0)
    assert usage.search_queries == 1


def test_each_distinct_query_counts_once(google):
    google.script(
        Answer(
            messages=[
                grounded("1234", queries=["rain", "", " rain "]),
                grounded("5", queries=["rain", "snow \ud83d"]),
                grounded("6", "STOP", queries=["snow \ud83d", "hail"], **FIRST),
            ]
        )
    )

    usage = ask().completion.usage

    assert (usage.search_queries, usage.estimated) == (3, False)


def test_stopped_and_failed_answers_have_their_queries(google):
    google.script(Answer(messages=[grounded("1234", queries=["rain"], **FIRST)], ending="drop"))

    usage = ask().error.usage

    assert (usage.search_queries, usage.prompt_tokens) == (1, 50)


@pytest.mark.parametrize(
    "queries",
    ["rain", {"0": "rain"}, [None], [["rain"]], 7, [str(n) for n in range(1001)]],
    ids=lambda queries: json.dumps(queries)[:20],
)
def test_impossible_queries_are_not_reported(google, queries):
    google.script(Answer(messages=[grounded("1234", "STOP", queries=queries, **FIRST)]))

    outcome = ask()

    usage = outcome.completion.usage
    assert (outcome.text, usage.search_queries, usage.estimated) == ("1234", 0, True)


def test_endless_queries_leave_the_possible_ones(google):
    chunks = [grounded("1", queries=[f"{n} {m}" for m in range(600)]) for n in range(3)]
    google.script(Answer(messages=[*chunks, message("2", "STOP", **FIRST)]))

    assert ask().completion.usage.search_queries == 600


@pytest.mark.parametrize("grounding", [None, [], "rain", {"webSearchQueries": None}], ids=str)
def test_grounding_without_queries_counts_none(google, grounding):
    told = message("1234", "STOP", **FIRST)
    told["candidates"][0]["groundingMetadata"] = grounding
    google.script(Answer(messages=[told]))

    usage = ask().completion.usage

    assert (usage.search_queries, usage.estimated) == (0, False)

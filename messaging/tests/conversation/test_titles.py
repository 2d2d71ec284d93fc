"""A room gets a title from Gemini, or the beginning of the prompt."""

from typing import Any

import pytest

from accounts.models import User
from chatrooms.models import DEFAULT_TITLE, Chatroom
from messaging.conversation import actions
from messaging.conversation.title_text import title_of_answer, title_of_prompt
from messaging.conversation.titles import title_room
from messaging.tasks import generate_reply
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import post, run

PROMPT = "Which rivers of Europe flow north?"


def title_after(room: Chatroom) -> str:
    title_room(chatroom_id=room.pk)
    return Chatroom.objects.get(pk=room.pk).title


@transactional
@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (Answer(chunks=["Riv", "ers"]), "Rivers"),
        (Answer(chunks=['```json\n{"title": "Rivers"}\n```']), "Rivers"),
        (Answer(chunks=["Rivers of"], finish_reason="MAX_TOKENS"), PROMPT),
        (Answer(chunks=["Rivers of"], finish_reason="OTHER"), PROMPT),
        (Answer(chunks=["Rivers of"], finish_reason="SAFETY"), PROMPT),
        (Answer(chunks=["Rivers of"], finish_reason=""), PROMPT),
        (Answer(chunks=["Rivers of"], ending="drop"), PROMPT),
        (Answer(chunks=["🏞️"]), PROMPT),
        (Answer(status=400), PROMPT),
    ],
)
def test_title_is_of_a_whole_answer_or_the_beginning_of_the_prompt(
    answer: Answer, title: str, alice: User, google: FakeGemini
) -> None:
    room = make_room(alice)
    run(post(room, PROMPT))
    google.script(answer)

    assert title_after(room) == title


@transactional
@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=402),
        Answer(block_reason="SAFETY"),
        Answer(chunks=["Half an ans"], ending="drop"),
        Answer(chunks=[]),
    ],
)
def test_room_whose_first_answer_failed_has_the_prompt_as_title_at_once(
    answer: Answer, alice: User, gemini: FakeGemini
) -> None:
    room = make_room(alice)
    gemini.script(answer)

    assert run(post(room, PROMPT)).status == "failed"

    assert Chatroom.objects.get(pk=room.pk).title == PROMPT
    assert len(gemini.requests) == 1


@transactional
def test_room_whose_answer_met_a_fault_has_the_prompt_as_title_at_once(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_BACKEND = "messaging.gemini.nowhere.Backend"
    room = make_room(alice)
    reply = post(room, PROMPT)

    with pytest.raises(ImportError):
        generate_reply(str(reply.pk))

    assert Chatroom.objects.get(pk=room.pk).title == PROMPT


@transactional
def test_room_whose_answer_was_stopped_in_the_queue_has_the_prompt_as_title(alice: User) -> None:
    room = make_room(alice)

    actions.stop(reply=post(room, PROMPT))

    assert Chatroom.objects.get(pk=room.pk).title == PROMPT


@transactional
def test_room_whose_answer_was_stopped_by_a_worker_has_the_prompt_as_title(
    alice: User, gemini: FakeGemini
) -> None:
    room = make_room(alice)
    reply = post(room, PROMPT)
    type(reply).objects.filter(pk=reply.pk).update(stop_requested=True)

    assert run(reply).status == "stopped"

    assert Chatroom.objects.get(pk=room.pk).title == PROMPT


@transactional
def test_title_of_a_person_outlives_a_failure(alice: User, gemini: FakeGemini) -> None:
    room = make_room(alice, title="Mine")
    gemini.script(Answer(status=402))

    run(post(room, PROMPT))

    assert Chatroom.objects.get(pk=room.pk).title == "Mine"


@transactional
def test_room_without_any_title_is_named_after_the_next_exchange(
    alice: User, gemini: FakeGemini
) -> None:
    room = make_room(alice)
    gemini.script(Answer(status=402))
    run(post(room, "?!"))
    assert Chatroom.objects.get(pk=room.pk).title == DEFAULT_TITLE

    run(post(room, PROMPT))
    gemini.script(Answer(chunks=["Rivers"]))

    assert title_after(room) == "Rivers"


@pytest.mark.parametrize(
    "answer",
    [
        "Rivers of Europe",
        ' "Rivers of Europe"\n',
        "“Rivers of Europe.”",
        "«Rivers of Europe»",
        "'Rivers of Europe'",
        '{"title": "Rivers of Europe"}',
        '{"Title": "Rivers of Europe", "language": "en"}',
        '{"name": "Rivers of Europe"}',
        '["Rivers of Europe"]',
        '```json\n{\n  "title": "**Rivers of Europe**"\n}\n```',
        '`{"title": "Rivers of Europe"}`',
        "```\nRivers of Europe\n```",
        "Title: Rivers of Europe",
        "title - Rivers of Europe",
        "**Title:** Rivers of Europe",
        '**Title**: "Rivers of Europe"',
        "# Title: Rivers of Europe #",
        '"Title: Rivers of Europe"',
        "Título: Rivers of Europe",
        "标题：Rivers of Europe",
        "Here is a title for the conversation:\n\n**Rivers of Europe**",
        "Here's a title: Rivers of Europe",
        "A good title for this conversation would be: Rivers of Europe",
        "Chat title: Rivers of Europe",
        "<title>Rivers of Europe</title>",
        "## Rivers of Europe",
        "**Rivers of Europe**",
        "***Rivers of Europe***",
        "__Rivers of Europe__",
        "_Rivers of Europe_",
        "*Rivers* of `Europe`",
        "~~Rivers~~ of **Europe**",
        "- Rivers of Europe",
        "1. Rivers of Europe\n2. Lakes",
        "> Rivers of Europe",
        "| Rivers of Europe |",
        "[Rivers of Europe](https://example.org)",
        "![Rivers](r.png) of Europe",
        "---\n\nRivers of Europe\n\nIt names the subject.",
        "Rivers\u202e of\u0000 Europe",
    ],
)
def test_wrappers_and_markdown_of_a_title_are_removed(answer: str) -> None:
    assert title_of_answer(answer) == "Rivers of Europe"


@pytest.mark.parametrize(
    "title",
    [
        "Learning C#",
        ".NET and C++",
        "2**10 or 3**4?",
        "snake_case_names and __init__ methods",
        '"Faust" and "Egmont"',
        "Python: lists and dicts",
        "Book titles: an overview",
        "-5 degrees",
        "1984",
        "[Draft] Rivers",
        "नदियाँ क्या हैं?",
        "¿Qué es un río?",
        "O'Neill's rivers",
    ],
)
def test_title_without_wrappers_is_unchanged(title: str) -> None:
    assert title_of_answer(title) == title


@pytest.mark.parametrize(
    "answer",
    ["", "…", "**", "# ", "🦄", "{}", "[]", '{"a": "b", "c": "d"}', '{"title": 5}', "{title: R"]
    + ['{"title": "Riv', '{"title": null}', "```json\n```", "Title:", "[" * 5_000],
)
def test_answer_without_a_title_has_none(answer: str) -> None:
    assert title_of_answer(answer) == ""


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("\n\nHello there\nand more", "Hello there"),
        ("Title: the word", "Title: the word"),
        ("---\n# A plan", "A plan"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("?!\n🦄", ""),
        ("word " * 40, "word " * 10 + "word…"),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
def test_beginning_of_a_prompt_is_one_line(prompt: str, title: str) -> None:
    assert title_of_prompt(prompt) == title

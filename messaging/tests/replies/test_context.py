"""What Gemini is sent with a prompt."""

from typing import Any

from django.utils import timezone

from accounts.models import User
from billing.tests.plans import with_plan
from messaging.replies.claims import claim_reply
from messaging.replies.request.context import build_context
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.messaging.worker import post, run

pytestmark = transactional


def test_context_is_the_branch_with_the_system_prompt_apart(
    carol: User, gemini: FakeGemini
) -> None:
    room = make_room(carol, system_prompt="Answer in rhyme.")
    exchange(room, "One", "Fun")

    reply = run(post(room, "Two"))

    asked = gemini.requests[0].body
    sent = [(turn["role"], turn["parts"][0]["text"]) for turn in asked["contents"]]
    assert sent == [("user", "One"), ("model", "Fun"), ("user", "Two")]
    assert asked["systemInstruction"]["parts"][0]["text"] == "Answer in rhyme."
    assert (reply.context_messages, reply.context_truncated) == (3, False)


def test_context_leaves_out_older_turns_whole(
    carol: User, gemini: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_CONTEXT_TOKENS = 100
    room = make_room(carol)
    exchange(room, "Long ago " * 100, "Yes")
    exchange(room, "Lately", "Yes")

    reply = run(post(room, "Now"))

    sent = [turn["parts"][0]["text"] for turn in gemini.requests[0].body["contents"]]
    assert sent == ["Lately", "Yes", "Now"]
    assert reply.context_truncated is True


def test_context_reaches_over_many_pages(carol: User, gemini: FakeGemini, settings: Any) -> None:
    with_plan(settings, "pro", sends_per_minute=100)
    room = make_room(carol)
    for number in range(70):
        exchange(room, f"Q{number}", f"A{number}")

    run(post(room, "Last"))

    sent = [turn["parts"][0]["text"] for turn in gemini.requests[0].body["contents"]]
    assert sent == [text for n in range(70) for text in (f"Q{n}", f"A{n}")] + ["Last"]


def test_context_that_is_too_long_is_halved_once(carol: User, gemini: FakeGemini) -> None:
    room = make_room(carol)
    exchange(room)
    gemini.script(Answer.too_long(), Answer(chunks=["Done"]))

    assert run(post(room, "Again")).content == "Done"


def test_estimate_learns_from_what_gemini_counted(alice: User, gemini: FakeGemini) -> None:
    room = make_room(alice)

    run(post(room, "word " * 500))

    room.refresh_from_db()
    assert room.characters_per_token != 4.0


def test_context_of_one_page_comes_with_the_claim(
    carol: User, django_assert_num_queries: Any
) -> None:
    room = make_room(carol)
    exchange(room, "One", "Fun")
    claimed = claim_reply(reply_id=post(room, "Two").pk, now=timezone.now())

    with django_assert_num_queries(0):
        context = build_context(claimed.reply, claimed.newest, budget_tokens=1000, model=None)

    assert [message.text for message in context.messages] == ["One", "Fun", "Two"]

"""The context starts at the same message for many requests, and is cut in steps."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.tests.plans import with_plan
from chatrooms.models import Chatroom
from messaging.conversation import actions
from messaging.models import Message
from messaging.replies.claims import claim_reply
from messaging.replies.request.context import Context, build_context
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.rooms import exchange, make_room
from tests.support.messaging.worker import post, run

pytestmark = transactional

# A turn of `fill` has 28 tokens at 4 characters a token, and a prompt of `fill` has 14.
TURN, PROMPT = 28, 14


@pytest.fixture(autouse=True)
def unlimited(settings: Any) -> None:
    with_plan(settings, "pro", sends_per_minute=1000)


@pytest.fixture
def uncounted(gemini: FakeGemini, settings: Any) -> FakeGemini:
    """A Gemini without counts, so the estimates stay; the budget is ten turns of `fill`."""
    gemini.default = Answer(chunks=[text_of("Fine")], usage=False)
    settings.GEMINI_CONTEXT_TOKENS = 10 * TURN
    return gemini


def text_of(name: str) -> str:
    return name.ljust(40, ".")


def fill(room: Chatroom, turns: int, *, name: str = "") -> list[Message]:
    """Add whole turns; returns the prompts."""
    replies = [
        exchange(room, text_of(f"Q{name}{number}"), text_of(f"A{name}{number}"))
        for number in range(turns)
    ]
    return [reply.parent for reply in replies if reply.parent]


def claimed_context(reply: Message, *, budget: int) -> Context:
    """Build the context of a reply as a worker does."""
    claimed = claim_reply(reply_id=reply.pk, now=timezone.now())
    assert claimed is not None
    return build_context(claimed.reply, claimed.newest, budget_tokens=budget, model=None)


def names(context: Context) -> list[str]:
    return [message.text.rstrip(".") for message in context.messages]


def turns(*numbers: int) -> list[str]:
    return [name for number in numbers for name in (f"Q{number}", f"A{number}")]


def starts(gemini: FakeGemini) -> list[str]:
    """Return the name of the first message in each request."""
    contents = [received.body["contents"] for received in gemini.requests]
    return [sent[0]["parts"][0]["text"].rstrip(".") for sent in contents]


def test_context_over_the_budget_is_cut_to_its_share(carol: User) -> None:
    room = make_room(carol)
    prompts = fill(room, 10)

    context = claimed_context(post(room, text_of("Now")), budget=10 * TURN)

    # 60 % of the budget are six turns, less a part of one for the prompt.
    assert names(context) == [*turns(5, 6, 7, 8, 9), "Now"]
    assert context.tokens == 5 * TURN + PROMPT
    assert (context.start, context.truncated) == (prompts[5].pk, True)


def test_context_within_the_budget_starts_at_the_root(carol: User) -> None:
    room = make_room(carol)
    fill(room, 3)

    context = claimed_context(post(room, text_of("Now")), budget=3 * TURN + PROMPT)

    assert names(context) == [*turns(0, 1, 2), "Now"]
    assert (context.start, context.truncated) == (None, False)


@pytest.mark.parametrize("share", [0.93, 1.0, 1.07])
def test_start_stays_while_the_estimates_drift(carol: User, share: float) -> None:
    room = make_room(carol)
    prompts = fill(room, 10)
    characters = Chatroom().characters_per_token * share
    Chatroom.objects.update(context_from=prompts[2].pk, characters_per_token=characters)

    context = claimed_context(post(room, text_of("Now")), budget=10 * TURN)

    assert names(context) == [*turns(*range(2, 10)), "Now"]
    assert context.start == prompts[2].pk


def test_prompt_over_the_share_is_sent_alone(carol: User) -> None:
    room = make_room(carol)
    fill(room, 2)
    reply = post(room, "Long".ljust(400, "."))

    context = claimed_context(reply, budget=4 * TURN)

    assert names(context) == ["Long"]
    assert (context.start, context.truncated) == (reply.parent_id, True)


def test_start_at_a_turn_without_text_stays(carol: User) -> None:
    room = make_room(carol)
    fill(room, 3)
    failed = exchange(room, "Failed", "")
    fill(room, 2, name="b")
    Chatroom.objects.update(context_from=failed.parent_id)

    context = claimed_context(post(room, "Now"), budget=1000)

    assert names(context) == ["Qb0", "Ab0", "Qb1", "Ab1", "Now"]
    assert context.start == failed.parent_id


def test_only_a_first_turn_without_text_is_left_out_of_the_root(carol: User) -> None:
    room = make_room(carol)
    exchange(room, "Failed", "")
    fill(room, 1)

    context = claimed_context(post(room, "Now"), budget=1000)

    assert names(context) == [*turns(0), "Now"]
    assert (context.start, context.truncated) == (None, False)


def test_start_within_the_first_page_takes_no_further_read(
    carol: User, django_assert_num_queries: Any
) -> None:
    room = make_room(carol)
    prompts = fill(room, 70)
    Chatroom.objects.update(context_from=prompts[38].pk)
    claimed = claim_reply(reply_id=post(room, "Now").pk, now=timezone.now())
    assert claimed is not None

    # 32 turns are a page of 64 messages.
    with django_assert_num_queries(0):
        context = build_context(claimed.reply, claimed.newest, budget_tokens=10_000, model=None)

    assert context.start == prompts[38].pk
    with django_assert_num_queries(0):
        assert build_context(claimed.reply, claimed.newest, budget_tokens=500, model=None).truncated
    Chatroom.objects.update(context_from=prompts[37].pk)
    claimed.reply.chatroom.refresh_from_db()
    with django_assert_num_queries(1):
        context = build_context(claimed.reply, claimed.newest, budget_tokens=10_000, model=None)
    assert context.start == prompts[37].pk


def test_end_stores_the_start_also_of_a_failed_reply(carol: User, uncounted: FakeGemini) -> None:
    room = make_room(carol)
    prompts = fill(room, 10)
    uncounted.script(Answer(finish_reason="SAFETY"))

    reply = run(post(room, text_of("Now")))

    room.refresh_from_db()
    assert reply.status == "failed"
    assert room.context_from == prompts[5].pk
    run(post(room, text_of("Again")))
    assert starts(uncounted) == ["Q5", "Q5"]


def test_edit_before_the_start_computes_the_start_again(carol: User, uncounted: FakeGemini) -> None:
    room = make_room(carol)
    prompts = fill(room, 10)
    cut = run(post(room, text_of("Now")))
    room.refresh_from_db()
    assert room.context_from == prompts[5].pk

    # The branch of the edit is within the budget, and has no cut.
    edited = run(actions.edit(user=carol, message=prompts[3], prompt=text_of("Edited")).reply)
    room.refresh_from_db()
    assert (room.context_from, edited.context_truncated) == (None, False)

    # The branch of before is over the budget.
    actions.select(user=carol, message=prompts[3])
    again = run(actions.regenerate(user=carol, reply=cut).reply)
    room.refresh_from_db()
    assert (room.context_from, again.context_truncated) == (prompts[5].pk, True)
    assert starts(uncounted) == ["Q5", "Q0", "Q5"]


def test_edit_and_regenerate_after_the_start_leave_the_start(
    carol: User, uncounted: FakeGemini
) -> None:
    room = make_room(carol)
    prompts = fill(room, 10)
    cut = run(post(room, text_of("Now")))

    run(actions.regenerate(user=carol, reply=cut).reply)
    run(actions.edit(user=carol, message=prompts[8], prompt=text_of("Edited")).reply)

    room.refresh_from_db()
    assert starts(uncounted) == ["Q5", "Q5", "Q5"]
    assert room.context_from == prompts[5].pk


def test_start_off_a_long_branch_is_replaced(carol: User, uncounted: FakeGemini) -> None:
    room = make_room(carol)
    prompts = fill(room, 12)
    run(post(room, text_of("Now")))

    reply = run(actions.edit(user=carol, message=prompts[7], prompt=text_of("Edited")).reply)
    fill(room, 6, name="b")
    last = run(post(room, text_of("Last")))

    room.refresh_from_db()
    assert starts(uncounted) == ["Q7", "Q0", "Qb1"]
    assert (reply.context_truncated, last.context_truncated) == (False, True)
    assert room.context_from == Message.objects.get(content=text_of("Qb1")).pk


def test_too_long_context_is_halved_and_stores_the_cut(
    carol: User, uncounted: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_CONTEXT_TOKENS = 100 * TURN
    room = make_room(carol)
    prompts = fill(room, 20)
    uncounted.script(Answer.too_long(), Answer(chunks=["Done"], usage=False))

    reply = run(post(room, text_of("Now")))
    run(post(room, text_of("Again")))

    room.refresh_from_db()
    # 60 % of ten turns.
    assert starts(uncounted) == ["Q0", "Q15", "Q15"]
    assert (reply.content, reply.context_messages, reply.context_truncated) == ("Done", 11, True)
    assert room.context_from == prompts[15].pk


def test_edited_system_prompt_leaves_the_start(carol: User, uncounted: FakeGemini) -> None:
    room = make_room(carol)
    fill(room, 10)
    run(post(room, text_of("Now")))

    room.update_fields(system_prompt="Answer in rhyme.")
    run(post(room, text_of("Again")))

    assert starts(uncounted) == ["Q5", "Q5"]


def test_fifty_turns_over_the_budget_mostly_have_the_prefix_of_before(
    carol: User, google: FakeGemini, settings: Any
) -> None:
    settings.GEMINI_CONTEXT_TOKENS = 2000
    google.cache_minimum = 1000
    room = make_room(carol, system_prompt="Be brief.")
    fill(room, 60)
    for number in range(10):  # The estimates learn from these answers.
        run(post(room, text_of(f"L{number}")))
    google.reset()

    replies = [run(post(room, text_of(f"P{number}"))) for number in range(50)]

    sent = [received.body["contents"] for received in google.requests]
    changes = [
        number
        for number, (before, now) in enumerate(zip(sent, sent[1:], strict=False), start=1)
        if now[: len(before)] != before
    ]
    # Each request has the contents of the request before, or starts at a later turn.
    assert len(sent) == 50
    assert 0 < len(changes) <= 5
    assert all(later - earlier >= 10 for earlier, later in zip(changes, changes[1:], strict=False))
    for reply, contents in zip(replies, sent, strict=True):
        check_whole_turns(contents)
        assert reply.context_messages == len(contents)
        assert reply.context_truncated
        assert reply.context_tokens <= settings.GEMINI_CONTEXT_TOKENS
        assert reply.context_tokens == pytest.approx(reply.prompt_tokens, rel=0.1)
        assert reply.cached_tokens < reply.prompt_tokens
    assert changes == [number for number, reply in enumerate(replies) if not reply.cached_tokens]


def check_whole_turns(contents: list[dict[str, Any]]) -> None:
    """Check that contents start with a prompt, and that each reply follows the right prompt."""
    texts = [content["parts"][0]["text"] for content in contents]
    roles = [content["role"] for content in contents]
    assert roles == ["user", "model"] * (len(contents) // 2) + ["user"]
    for asked, answered in zip(texts[:-1:2], texts[1::2], strict=True):
        assert asked in answered or asked[1:].rstrip(".") == answered[1:].rstrip(".")

"""A reply ends as usual with a figure or a name that fits no column."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import DailyQuota, UsageRecord
from chatrooms.models import Chatroom
from messaging.conversation.titles import title_room
from messaging.models import Message
from messaging.replies.claims import claim_reply
from messaging.tasks import sweep_replies
from tests.support.fakes.gemini import Answer, FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.prices import set_price
from tests.support.messaging.rooms import make_room
from tests.support.messaging.worker import post, run

pytestmark = transactional

COUNTS = {"promptTokenCount": 40, "candidatesTokenCount": 3, "totalTokenCount": 43}


@pytest.mark.parametrize(
    "odd",
    [
        {"promptTokenCount": -7},
        {"promptTokenCount": 3_000_000_000},
        {"candidatesTokenCount": -1},
        {"candidatesTokenCount": 10**30},
        {"cachedContentTokenCount": 41},
        {"cachedContentTokenCount": -1},
    ],
    ids=str,
)
def test_impossible_count_is_estimated_and_the_reply_complete(
    odd: dict[str, int], alice: User, google: FakeGemini
) -> None:
    google.script(Answer(chunks=["Once."], usage_counts={**COUNTS, **odd}))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.content, reply.attempt) == ("complete", "Once.", 1)
    assert len(google.requests) == 1
    record = UsageRecord.objects.get()
    assert record.estimated
    assert 0 < record.output_tokens <= 3
    assert 0 < record.prompt_tokens <= 40
    assert record.cached_tokens == 0


def audio(count: Any) -> dict[str, Any]:
    return {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": count}]}


@pytest.mark.parametrize(
    "odd",
    [
        {"thoughtsTokenCount": 2**31},
        {"toolUsePromptTokenCount": -1},
        {"toolUsePromptTokenCount": 10**9},
        {"toolUsePromptTokenCount": [7]},
        audio(41),
        audio(-1),
        audio(10**30),
        audio([7]),
        audio("many"),
        {
            "promptTokensDetails": [
                *audio(30)["promptTokensDetails"],
                *audio(-20)["promptTokensDetails"],
            ]
        },
        {"promptTokensDetails": {"AUDIO": 7}},
        {"promptTokensDetails": ["AUDIO"]},
        {"promptTokensDetails": 7},
    ],
    ids=str,
)
def test_impossible_count_is_not_reported(
    odd: dict[str, Any], alice: User, gemini: FakeGemini
) -> None:
    gemini.script(Answer(chunks=["Once."], usage_counts={**COUNTS, **odd}))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.prompt_tokens, reply.thinking_tokens) == ("complete", 40, 0)
    record = UsageRecord.objects.get()
    assert (record.tool_prompt_tokens, record.audio_tokens) == (0, 0)
    assert record.estimated


@pytest.mark.parametrize("name", ["gemini\x00x", "gemini\n", "g" * 65], ids=ascii)
def test_model_version_that_no_column_holds_is_not_reported(
    name: str, alice: User, google: FakeGemini, settings: Any
) -> None:
    google.script(Answer(chunks=["Once."], model_version=name))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.content) == ("complete", "Once.")
    assert reply.model_version == settings.GEMINI_MODEL
    assert len(google.requests) == 1


def test_answer_of_nul_alone_is_empty(alice: User, google: FakeGemini) -> None:
    google.script(Answer(chunks=["\x00", "\x00"]))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.error_code) == ("failed", "empty")


@pytest.mark.parametrize("seconds", ["9" * 15, "9" * 400, 86_401])
def test_wait_of_more_than_a_day_is_not_reported(
    seconds: Any, alice: User, google: FakeGemini
) -> None:
    google.script(Answer.rate_limited(seconds), Answer(chunks=["Once."]))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.content, reply.attempt) == ("complete", "Once.", 1)
    assert len(google.requests) == 2


def test_impossible_status_in_the_stream_is_a_failure_of_gemini(
    alice: User, google: FakeGemini
) -> None:
    google.script(Answer(chunks=["Once"], ending="error", streamed_status=10**20))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.error_code, reply.content) == ("failed", "interrupted", "Once")


def test_title_with_impossible_figures_is_used(alice: User, google: FakeGemini) -> None:
    room = make_room(alice)
    run(post(room))
    google.script(
        Answer(chunks=["Rivers"], usage_counts={"promptTokenCount": -7}, model_version="g\x00")
    )

    title_room(chatroom_id=room.pk)

    assert Chatroom.objects.get(pk=room.pk).title == "Rivers"
    assert UsageRecord.objects.get(purpose="title").estimated


def test_reply_that_waited_for_weeks_ends(alice: User, gemini: FakeGemini) -> None:
    reply = post(make_room(alice))
    Message.objects.filter(pk=reply.pk).update(created_at=timezone.now() - timedelta(days=60))

    assert run(reply).status == "complete"


def test_end_that_cannot_be_written_is_a_failure_at_once(
    alice: User, gemini: FakeGemini, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A possible price and a possible count make a cost beyond the column."""
    price_at_most(settings)
    gemini.script(Answer(chunks=["My secret."], usage_counts={"promptTokenCount": 90_000_000}))

    reply = run(post(make_room(alice)))

    assert (reply.status, reply.error_code, reply.content) == ("failed", "internal", "My secret.")
    assert len(gemini.requests) == 1
    assert UsageRecord.objects.get().estimated
    assert DailyQuota.objects.usage(user=alice).used == 0
    assert "cannot be written" in caplog.text
    assert "secret" not in caplog.text


def test_end_whose_cost_cannot_be_written_is_a_failure_without_cost(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    price_at_most(settings)
    reply = post(make_room(alice))
    DailyQuota.objects.update(cost_micro_usd=2**63 - 1)

    reply = run(reply)

    assert (reply.status, reply.error_code, reply.content) == ("failed", "internal", "")
    assert len(gemini.requests) == 1
    assert UsageRecord.objects.get().cost_micro_usd == 0


def test_cost_that_fits_no_column_keeps_no_title_and_no_sweep_back(
    alice: User, gemini: FakeGemini, settings: Any
) -> None:
    room, other = make_room(alice), make_room(alice)
    run(post(room))
    price_at_most(settings)
    reply = post(other)
    claim_reply(reply_id=reply.pk, now=timezone.now() - timedelta(minutes=5))
    DailyQuota.objects.update(cost_micro_usd=2**63 - 1)
    gemini.script(Answer(chunks=["Rivers"]))

    title_room(chatroom_id=room.pk)
    swept = sweep_replies()

    assert Chatroom.objects.get(pk=room.pk).title == "Rivers"
    assert swept["taken_back"] == 1
    assert UsageRecord.objects.filter(cost_micro_usd=0, estimated=True).count() == 2


def price_at_most(settings: Any) -> None:
    most = 2**63 - 1
    set_price(settings.GEMINI_MODEL, input=most, cached=most, output=most)


@pytest.mark.parametrize("counts", [{"totalTokenCount": 54}, {"promptTokenCount": 0}])
def test_room_learns_nothing_from_a_report_without_the_prompt(
    counts: dict[str, int], alice: User, google: FakeGemini
) -> None:
    room = make_room(alice)
    google.script(Answer(chunks=["Once."], usage_counts=counts))

    reply = run(post(room, "A long prompt. " * 40))

    room.refresh_from_db()
    assert room.characters_per_token == Chatroom().characters_per_token
    assert reply.output_tokens == 2
    assert UsageRecord.objects.get().estimated


def test_room_learns_nothing_from_the_tokens_of_two_requests(
    alice: User, gemini: FakeGemini
) -> None:
    room = make_room(alice)
    gemini.script(Answer(thoughts=["Hm."], chunks=[], ending="drop"), Answer(chunks=["Right."]))

    reply = run(post(room, "A long prompt. " * 40))

    room.refresh_from_db()
    assert room.characters_per_token == Chatroom().characters_per_token
    assert UsageRecord.objects.get().prompt_tokens == reply.prompt_tokens

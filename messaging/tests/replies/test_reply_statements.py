"""The statements of send, claim and end do the same as the ORM."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from billing.models import DailyQuota, UsageRecord
from chatrooms.models import Chatroom
from messaging.conversation.accept import (
    AcceptPrompt,
    NewerMessageExists,
    accept_prompt,
    text_bytes,
)
from messaging.gemini import Usage
from messaging.models import GeminiModel, Message
from messaging.models.reads import message_or_raise, own_message_or_raise
from messaging.replies.claims import claim_reply, claimable_ids
from messaging.replies.finish import Ending, store_end
from tests.support.messaging.rooms import exchange, make_room
from tests.support.messaging.worker import post
from tests.twins import rolled_back

pytestmark = pytest.mark.django_db
TABLES = (Message, Chatroom, DailyQuota, UsageRecord)


def send(room: Chatroom, prompt: str = "Hello") -> AcceptPrompt:
    return AcceptPrompt(user=room.user, chatroom_id=room.pk, prompt=prompt, model="gemini-x")


@pytest.mark.parametrize("turns", [0, 1])
def test_accepted_prompt_is_what_the_orm_stores(alice: User, turns: int) -> None:
    room = make_room(alice)
    for _ in range(turns):
        exchange(room)
    room.refresh_from_db()

    accepted, rows = rolled_back(lambda: accept_prompt(send(room)), *TABLES)

    def by_orm() -> None:
        now, quota = accepted.message.created_at, {"used": 1 + turns, "minute_sends": 1 + turns}
        Message.objects.bulk_create([accepted.message, accepted.reply])
        Chatroom.objects.record_exchange(
            chatroom_id=room.pk, active_leaf=accepted.reply.pk, added=2, at=now
        )
        quota["text_bytes"] = (1 + turns) * text_bytes("Hello")
        DailyQuota.objects.update_or_create(
            user=alice,
            day=now.date(),
            defaults=quota,
            create_defaults={**quota, "minute_started_at": now},
        )

    assert rows == rolled_back(by_orm, *TABLES)[1]
    assert accepted.message.parent_id == room.active_leaf
    assert accepted.quota.used == 1 + turns


def test_prompt_with_an_older_id_than_the_room_has_is_not_stored(alice: User) -> None:
    room = make_room(alice)
    Chatroom.objects.update(active_leaf=uuid.UUID(int=2**128 - 1))
    before = rolled_back(lambda: None, *TABLES)[1]

    with pytest.raises(NewerMessageExists), transaction.atomic():
        accept_prompt(send(room))

    assert rolled_back(lambda: None, *TABLES)[1] == before


def test_claimed_reply_is_what_the_orm_updates_and_reads(alice: User) -> None:
    room = make_room(alice, system_prompt="Be brief.")
    exchange(room, "One", "Indeed.")
    reply, now = post(room, "Two"), timezone.now()

    claimed, rows = rolled_back(lambda: claim_reply(reply_id=reply.pk, now=now), *TABLES)

    def by_orm() -> Message:
        Message.objects.filter(pk=reply.pk).update(
            status=Message.Status.GENERATING,
            attempt=F("attempt") + 1,
            started_at=now,
            lease_expires_at=now + timedelta(seconds=settings.REPLY_LEASE_SECONDS),
        )
        return Message.objects.select_related("chatroom", "user").get(pk=reply.pk)

    same, same_rows = rolled_back(by_orm, *TABLES)
    assert rows == same_rows
    assert claimed is not None
    assert columns(claimed.reply) == columns(same)
    assert columns(claimed.reply.chatroom) == columns(same.chatroom)
    assert columns(claimed.reply.user) == columns(same.user)
    by_name = GeminiModel.objects.filter(name=reply.model).prefetch_related("prices")
    assert [(columns(priced.model), columns(priced.price)) for priced in claimed.models] == [
        (columns(model), columns(model.price_on(now.date()))) for model in by_name
    ]
    branch = Message.objects.filter(chatroom=room).exclude(pk=reply.pk).order_by("id")
    assert [row.content for row in claimed.newest] == [row.content for row in branch]


def test_claimable_replies_are_those_that_the_orm_finds(carol: User) -> None:
    rooms = [make_room(carol) for _ in range(3)]
    replies = [post(room) for room in [*rooms, *rooms[:2]]]
    now = timezone.now()
    claim_reply(reply_id=replies[0].pk, now=now)
    Message.objects.filter(pk=replies[2].pk).update(retry_at=now + timedelta(hours=1))

    found = claimable_ids(user_id=carol.pk, now=now)

    waiting = Message.objects.filter(user=carol, status="queued").exclude(retry_at__gt=now)
    active = Message.objects.filter(status__in=["queued", "generating"])
    assert found == [
        reply.pk
        for reply in waiting.order_by("id")
        if not active.filter(chatroom=reply.chatroom_id, pk__lt=reply.pk).exists()
    ]
    assert found == [replies[1].pk]


USAGE = Usage(
    prompt_tokens=9,
    output_tokens=8,
    cached_tokens=1,
    thinking_tokens=2,
    tool_prompt_tokens=3,
    search_queries=4,
    audio_tokens=5,
)
ENDINGS = {
    "complete": Ending(
        Message.Status.COMPLETE,
        finish_reason="stop",
        model_version="gemini-x-001",
        usage=USAGE,
        characters_per_token=3.5,
    ),
    "failed": Ending(
        Message.Status.FAILED, "unavailable", "Try again.", provider_code="503 UNAVAILABLE"
    ),
    "unanswered": Ending(Message.Status.FAILED, "empty", "Nothing came.", usage=USAGE),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_end_of_a_reply_is_what_the_orm_stores(alice: User, name: str) -> None:
    ending, room, now = ENDINGS[name], make_room(alice), timezone.now()
    claimed = claim_reply(reply_id=post(room).pk, now=now)
    assert claimed is not None
    reply, content = claimed.reply, "Indeed." if name == "complete" else ""
    reply.first_token_at = now + timedelta(milliseconds=20) if content else None
    reply.context_messages, reply.context_tokens, reply.context_truncated = 1, 5, False
    reply.chatroom.context_from = reply.parent_id
    is_given_back = name != "complete"

    is_stored, rows = rolled_back(lambda: store_end(reply, content=content, ending=ending), *TABLES)
    [ended] = [row for row in rows["Message"] if row["id"] == reply.pk]
    [recorded] = rows["UsageRecord"]

    def by_orm() -> None:
        usage = ending.usage or Usage(0, 0, 0, 0, estimated=True)
        tokens = {name: getattr(usage, name) for name in TOKENS}
        at = ended["ended_at"]
        Message.objects.filter(pk=reply.pk).update(
            status=ending.status,
            content=content,
            lease_expires_at=None,
            resend_at=None,
            quota_day=None if is_given_back else now.date(),
            first_token_at=reply.first_token_at,
            ended_at=at,
            error_code=ending.error_code,
            error_detail=ending.error_detail,
            provider_code=ending.provider_code,
            finish_reason=ending.finish_reason,
            model_version=ending.model_version,
            context_messages=1,
            context_tokens=5,
            context_truncated=False,
            **(tokens if ending.usage else {}),
        )
        UsageRecord.objects.create(
            user=alice,
            reply_id=reply.pk,
            attempt=1,
            model=ending.model_version or reply.model,
            outcome=ending.status,
            error_code=ending.error_code,
            provider_code=ending.provider_code,
            started_at=now,
            first_token_ms=milliseconds(reply, reply.first_token_at),
            reply_ms=milliseconds(reply, at),
            cost_micro_usd=0,
            estimated=usage.estimated,
            tool_prompt_tokens=usage.tool_prompt_tokens,
            search_queries=usage.search_queries,
            audio_tokens=usage.audio_tokens,
            **tokens,
        )
        UsageRecord.objects.update(created_at=at)
        DailyQuota.objects.update(
            used=F("used") - int(is_given_back),
            unanswered=int(name == "unanswered"),
            text_bytes=F("text_bytes") + len(content),
        )
        Chatroom.objects.update(context_from=reply.parent_id)
        if ending.characters_per_token:
            Chatroom.objects.update(characters_per_token=ending.characters_per_token)

    assert is_stored
    assert rows == rolled_back(by_orm, *TABLES)[1]
    assert recorded["created_at"] == ended["ended_at"]


def test_single_reads_are_what_the_orm_reads(alice: User, bob: User) -> None:
    reply = post(make_room(alice))

    own = own_message_or_raise(user_id=alice.pk, message_id=reply.pk)

    same = Message.objects.get(pk=reply.pk)
    assert columns(own) == columns(message_or_raise(reply.pk)) == columns(same)
    with pytest.raises(Message.DoesNotExist):
        own_message_or_raise(user_id=bob.pk, message_id=reply.pk)


TOKENS = ["prompt_tokens", "output_tokens", "cached_tokens", "thinking_tokens"]


def columns(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def milliseconds(reply: Message, until: Any) -> int | None:
    return until and int((until - reply.created_at) / timedelta(milliseconds=1))

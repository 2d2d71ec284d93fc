"""The statement of a send: a prompt is stored with a reply, or refused."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from billing.models import DailyQuota
from billing.plans import included_tiers, plan_for_user
from billing.quota import Quota
from billing.statements import reserve_cte, reserve_params
from chatrooms.models import Chatroom
from chatrooms.statements import (
    own_room_cte,
    own_room_params,
    record_exchange_cte,
    record_exchange_params,
)
from gemchat.api.errors import DomainError
from gemchat.stores.statements import fetch, insert_into
from gemchat.stores.uuid7 import uuid7_after
from messaging.models import Message, resend_after

# The bytes of the rows of a prompt and a reply with indexes, without the texts.
ROWS_BYTES = 2_000
WAITING_RETRY_SECONDS = 5


class TooManyWaiting(DomainError):
    code = "too_many_waiting"
    message = "Too many of your replies are waiting. Send again when one of them has ended."
    status = 429

    def __init__(self, quota: Quota) -> None:
        super().__init__(retry_after=WAITING_RETRY_SECONDS, headers=quota.as_headers())


class NewerMessageExists(Exception):
    """The room has a newer message than the ids of a send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptPrompt:
    """A prompt of a user to a room. Without a model the room's model replies."""

    user: User
    chatroom_id: uuid.UUID
    prompt: str
    model: str = ""
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted prompt: both rows with `sibling_ids`, and the quota after the send."""

    message: Message
    reply: Message
    quota: Quota


# The known columns of the two rows of a send. All other columns have defaults.
EXCHANGE_SQL = {
    "id": "row.id",
    "chatroom_id": "%(room_id)s",
    "user_id": "%(room_user)s",
    "parent_id": "coalesce(row.parent_id, open_room.active_leaf)",
    "sender": "row.sender",
    "status": "row.status",
    "content": "row.content",
    "created_at": "%(room_now)s",
    "model": "CASE row.sender WHEN 'gemini' THEN open_room.model ELSE '' END",
    "thinking": "row.thinking",
    "resend_at": "row.resend_at",
    "quota_day": "row.quota_day",
}
# A single statement is a transaction; the ORM takes five statements, and six round trips. The room
# comes first: after a wait for the lock, a send sees the current room. The order of messages is the
# order of ids, and the ids are made before the statement. If the room has got a newer message
# meanwhile, nothing is written, and `is_overtaken` is true.
ACCEPT_PROMPT_SQL = """
WITH own_room AS (
    {own_room}
), room AS (
    SELECT active_leaf, {model} AS model,
        coalesce(active_leaf > %(message)s, false) AS is_overtaken,
        %(waiting)s > 0 AND %(waiting)s <= (
            SELECT count(*) FROM (
                SELECT FROM messaging_message
                WHERE user_id = %(room_user)s AND status IN ('queued', 'generating')
                LIMIT %(waiting)s
            ) AS waiting
        ) AS is_full
    FROM own_room
), open_room AS (
    SELECT * FROM room WHERE NOT is_overtaken AND NOT is_full
), slot AS (
    {reserve}
), exchange AS (
    {insert}
    FROM slot, open_room, (VALUES
        (%(message)s, NULL, 'user', 'complete', %(prompt)s, '', NULL, NULL),
        (%(room_leaf)s, %(message)s, 'gemini', 'queued', '', %(thinking)s, %(resend_at)s,
            %(quota_day)s)
    ) AS row (id, parent_id, sender, status, content, thinking, resend_at, quota_day)
), activated AS (
    {record_exchange}
)
SELECT active_leaf, model, is_overtaken, is_full, (SELECT used FROM slot) FROM room
"""


# The model of the request, or the room's if the plan and the table offer it, or the server's.
MODEL_SQL = """
coalesce(nullif(%(model)s, ''), CASE WHEN own_room.model <> '' THEN (
    SELECT name FROM messaging_geminimodel AS offered
    WHERE name = own_room.model AND is_enabled AND tier = ANY(%(tiers)s)
) END, %(server_model)s)"""


@cache
def accept_prompt_sql() -> str:
    return ACCEPT_PROMPT_SQL.format(
        own_room=own_room_cte(is_locked=True),
        model=MODEL_SQL,
        reserve=reserve_cte(source="open_room"),
        insert=insert_into(Message, EXCHANGE_SQL),
        record_exchange=record_exchange_cte(source="slot"),
    )


def accept_prompt(send: AcceptPrompt, *, after: uuid.UUID | None = None) -> Accepted:
    """Store a prompt at the end of the active branch, and a reply as `queued`.

    `after` is the active leaf, if the caller has locked the room. Raises Chatroom.DoesNotExist for
    another user's room, NewerMessageExists, TooManyWaiting, and the error of a reached limit of the
    plan.
    """
    plan, now = plan_for_user(send.user), timezone.now()
    room = Chatroom(id=send.chatroom_id, user=send.user)
    message = new_prompt(room=room, parent_id=None, content=send.prompt, at=now, after=after)
    reply = new_reply(
        message=message, day=now.date(), at=now, model=send.model, thinking=send.thinking
    )
    values: dict[str, Any] = {
        **reserve_params(user=send.user, now=now, text_bytes=text_bytes(send.prompt)),
        **own_room_params(chatroom_id=send.chatroom_id, user_id=send.user.pk),
        **record_exchange_params(leaf=reply.pk, added=2, at=now),
        "waiting": plan.waiting_replies,
        "message": message.pk,
        "prompt": send.prompt,
        "model": send.model,
        "thinking": reply.thinking,
        "tiers": included_tiers(send.user.tier),
        "server_model": settings.GEMINI_MODEL,
        "resend_at": reply.resend_at,
    }
    rows = fetch(accept_prompt_sql(), values)
    if not rows:
        raise Chatroom.DoesNotExist
    [(message.parent_id, reply.model, is_overtaken, is_full, used)] = rows
    if is_overtaken:
        raise NewerMessageExists
    if is_full:
        raise TooManyWaiting(DailyQuota.objects.usage(user=send.user))
    if used is None:
        raise DailyQuota.objects.refusal(user=send.user)
    message._state.adding = reply._state.adding = False
    # At the end of a branch neither message has variants yet.
    message.sibling_ids, reply.sibling_ids = [message.pk], [reply.pk]
    message.file_ids = reply.file_ids = None
    return Accepted(message, reply, Quota(limit=plan.daily_limit, used=used, day=now.date()))


def text_bytes(prompt: str) -> int:
    """Estimate the bytes of a send in the day's text: the prompt and two rows."""
    return len(prompt.encode()) + ROWS_BYTES


def new_prompt(
    *,
    room: Chatroom,
    parent_id: uuid.UUID | None,
    content: str,
    at: datetime,
    after: uuid.UUID | None = None,
) -> Message:
    """Make a prompt with an id after the id `after`."""
    return Message(
        id=uuid7_after(after),
        chatroom_id=room.pk,
        user_id=room.user_id,
        parent_id=parent_id,
        sender=Message.Sender.USER,
        status=Message.Status.COMPLETE,
        content=content,
        created_at=at,
    )


def new_reply(
    *,
    message: Message,
    day: date,
    at: datetime,
    model: str = "",
    thinking: str = "",
    after: uuid.UUID | None = None,
) -> Message:
    """Make a queued reply, with a slot of the quota of `day`.

    The id sorts after the id `after`, by default the prompt's.
    """
    return Message(
        id=uuid7_after(after or message.pk),
        chatroom_id=message.chatroom_id,
        user_id=message.user_id,
        parent_id=message.pk,
        sender=Message.Sender.GEMINI,
        status=Message.Status.QUEUED,
        model=model or settings.GEMINI_MODEL,
        thinking=thinking,
        created_at=at,
        resend_at=at + resend_after(),
        quota_day=day,
    )

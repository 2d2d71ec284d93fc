"""The ledger's entries: every attempt that reached Gemini, with its tokens and its cost.

An attempt has reached Gemini when its request was handed to the backend, and Gemini did not refuse
it by a status or break the connection before any answer. Where Gemini reported no usage, the tokens
are estimated.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.ledger import RECORD_ALONE
from billing.models import UsageRecord
from billing.quota import MINUTE
from chatrooms.models import Chatroom
from gemchat.stores.prepared import fetch
from messaging.gemini import Usage
from messaging.gemini.answer import BYTES_PER_TOKEN
from messaging.models import Message
from messaging.models.gemini_models import GeminiModel

NOTHING = Usage(0, 0, 0, 0, estimated=True)


def entry(
    reply: Message,
    *,
    outcome: str,
    usage: Usage | None,
    priced: GeminiModel | None,
    now: datetime,
    purpose: str = UsageRecord.Purpose.REPLY,
    model_version: str = "",
    error_code: str = "",
    provider_code: str = "",
    text_bytes: int = 0,
    gives_back: bool = False,
    is_unanswered: bool = False,
) -> dict[str, Any]:
    """The parameters of billing's RECORD and SETTLE.

    The cost counts to the day whose slot the reply took. A reply without a slot, as staff had it
    made again, counts to today.
    """
    charged = usage or NOTHING
    tokens = {
        "prompt_tokens": charged.prompt_tokens,
        "output_tokens": charged.output_tokens,
        "cached_tokens": charged.cached_tokens,
        "thinking_tokens": charged.thinking_tokens,
    }
    return {
        "user": reply.user_id,
        "purpose": purpose,
        "reply": reply.pk,
        "attempt": reply.attempt,
        "served_model": model_version or reply.model,
        "outcome": outcome,
        "error_code": error_code,
        "provider_code": provider_code,
        "started_at": reply.started_at,
        "first_token_ms": None,
        "reply_ms": None,
        **tokens,
        "cost_micro_usd": priced.cost_micro_usd(**tokens) if priced else 0,
        "estimated": charged.estimated,
        "now": now,
        "minute_ago": now - MINUTE,
        "text_bytes": text_bytes,
        "day": reply.quota_day or now.date(),
        "gives_back": gives_back and reply.quota_day is not None,
        "is_unanswered": is_unanswered and reply.quota_day is not None,
        "give_backs": settings.GIVE_BACKS_PER_DAY,
    }


def record(reply: Message, **fields: Any) -> None:
    """Record an attempt that ends no reply; an attempt that is recorded already stays as it is.

    Where the room is erased, its user may be too: the entry then names nobody.
    """
    with transaction.atomic():
        values = entry(reply, now=timezone.now(), **fields)
        if not lock_room(reply.chatroom_id):
            values["user"] = None
        fetch(RECORD_ALONE, values)


def lock_room(chatroom_id: uuid.UUID) -> bool:
    """Lock a room before its messages and the quota, as everywhere; False if it is gone."""
    rooms = Chatroom.objects.select_for_update(no_key=True).filter(pk=chatroom_id)
    return bool(rooms.values_list("pk"))


def estimated_usage(*, prompt_tokens: int, text: str = "", characters: int = 0) -> Usage:
    """The usage of a generation of which Gemini reported none."""
    output_bytes = len(text.encode(errors="replace")) or characters
    return Usage(
        prompt_tokens=prompt_tokens,
        output_tokens=-(-output_bytes // BYTES_PER_TOKEN),
        cached_tokens=0,
        thinking_tokens=0,
        estimated=True,
    )


def waited_ms(reply: Message, *, until: datetime | None) -> int | None:
    """How long the person has waited since sending; None where staff had the reply made again."""
    if until is None or reply.attempts_forgiven:
        return None
    return max(0, int((until - reply.created_at) / timedelta(milliseconds=1)))

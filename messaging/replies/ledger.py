"""The entries of the ledger: each attempt at Gemini, with tokens and cost.

An attempt counts once the backend has the request. A refusal by a status does not count, nor does a
broken connection before any answer. Where Gemini reported no usage, the tokens are estimated.
"""

import logging
import uuid
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import DataError, transaction
from django.utils import timezone

from billing.models import UsageRecord
from billing.statements import Settlement, record_usage
from chatrooms.models import Chatroom
from messaging.gemini import Usage
from messaging.gemini.answer import BYTES_PER_TOKEN
from messaging.models import Message
from messaging.models.gemini_models import PricedModel

logger = logging.getLogger(__name__)

# The largest value of the columns for milliseconds: 24 days.
LONGEST_WAIT_MS = 2**31 - 1
NO_USAGE = Usage(0, 0, 0, 0, estimated=True)


def build_settlement(
    reply: Message,
    *,
    outcome: str,
    usage: Usage | None,
    priced: PricedModel | None,
    now: datetime,
    purpose: str = UsageRecord.Purpose.REPLY,
    started_at: datetime | None = None,
    model_version: str = "",
    error_code: str = "",
    provider_code: str = "",
    first_token_ms: int | None = None,
    reply_ms: int | None = None,
    text_bytes: int = 0,
    gives_back: bool = False,
    is_unanswered: bool = False,
) -> Settlement:
    """Describe an attempt for the ledger and the quota.

    The cost counts to the day of the reply's slot. A reply without a slot, as after a retry by
    staff, counts to today.
    """
    figures = asdict(usage or NO_USAGE)
    estimated = figures.pop("estimated")
    price = priced.price if priced else None
    attempt = UsageRecord(
        user_id=reply.user_id,
        purpose=purpose,
        reply_id=reply.pk,
        attempt=reply.attempt,
        model=model_version or reply.model,
        outcome=outcome,
        error_code=error_code,
        provider_code=provider_code,
        started_at=started_at or reply.started_at,
        first_token_ms=first_token_ms,
        reply_ms=reply_ms,
        **figures,
        cost_micro_usd=price.cost_micro_usd(**figures) if price else 0,
        search_cost_micro_usd=figures["search_queries"] * price.search_query if price else 0,
        estimated=estimated,
        created_at=now,
    )
    return Settlement(
        record=attempt,
        day=reply.quota_day or now.date(),
        text_bytes=text_bytes,
        gives_back=gives_back and reply.quota_day is not None,
        is_unanswered=is_unanswered and reply.quota_day is not None,
    )


def record(reply: Message, **fields: Any) -> None:
    """Record an attempt without the end of a reply; a recorded attempt stays unchanged.

    A cost that fits no column must not keep a reply from the queue: the attempt then costs nothing.
    """
    try:
        _record(reply, **fields)
    except (DataError, OverflowError) as error:
        logger.error("The cost of reply %s fits no column: %s", reply.pk, type(error).__name__)
        _record(reply, **{**fields, "usage": NO_USAGE})


def _record(reply: Message, **fields: Any) -> None:
    """Record an attempt.

    Where the room is erased, the user may be erased too: the entry then names nobody.
    """
    with transaction.atomic():
        settlement = build_settlement(reply, now=timezone.now(), **fields)
        if not lock_room(reply.chatroom_id):
            settlement.record.user_id = None
        record_usage(settlement)


def lock_room(chatroom_id: uuid.UUID) -> bool:
    """Lock a room before the messages and the quota; False if the room is gone."""
    rooms = Chatroom.objects.select_for_update(no_key=True).filter(pk=chatroom_id)
    return bool(rooms.values_list("pk"))


def estimated_usage(*, prompt_tokens: int, text: str = "", characters: int = 0) -> Usage:
    """Estimate the usage of a generation without a report of Gemini."""
    output_bytes = len(text.encode(errors="replace")) or characters
    return Usage(
        prompt_tokens=prompt_tokens,
        output_tokens=-(-output_bytes // BYTES_PER_TOKEN),
        cached_tokens=0,
        thinking_tokens=0,
        estimated=True,
    )


def waited_ms(reply: Message, *, until: datetime | None) -> int | None:
    """Return the wait of a person since the send; None for a retry by staff."""
    if until is None or reply.attempts_reset:
        return None
    waited = int((until - reply.created_at) / timedelta(milliseconds=1))
    return min(max(0, waited), LONGEST_WAIT_MS)

"""Requeue the replies of abandoned attempts, and record the cost in the ledger."""

import uuid
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from billing.models import UsageRecord
from gemchat.stores.redis import client
from gemchat.stores.statements import fetch
from messaging.gemini import Usage
from messaging.history.branch import ContextRow
from messaging.models import GeminiModel, Message
from messaging.models.gemini_models import PricedModel, model_in_service, priced_models
from messaging.replies.ledger import estimated_usage, lock_room, record
from messaging.replies.request.context import CONTEXT_SQL, build_context
from messaging.streaming.buffer import Position, publish_wait, stream_key


def requeue(
    reply: Message,
    *,
    usage: Usage | None,
    priced: PricedModel | None,
    model_version: str,
    retry_at: datetime | None,
    wait_reason: str,
) -> None:
    """Requeue a reply given up by the worker, unless another attempt has the reply."""
    with transaction.atomic():
        lock_room(reply.chatroom_id)
        is_held = Message.objects.requeue(
            reply.pk, reply.attempt, retry_at=retry_at, wait_reason=wait_reason
        )
        if usage is not None:
            outcome = UsageRecord.Outcome.REQUEUED if is_held else UsageRecord.Outcome.LOST
            record(reply, outcome=outcome, usage=usage, priced=priced, model_version=model_version)
    if is_held and retry_at:
        publish_wait(reply.pk)


def requeue_expired(*, now: datetime) -> list[uuid.UUID]:
    """Requeue the replies of dead workers, each with the lost attempt in the ledger."""
    expired = Message.objects.expired(now=now).select_related("chatroom")
    models = {day: priced_models(on=day) for day in {start_day(reply, now) for reply in expired}}
    return [
        reply.pk
        for reply in expired
        if _requeue_expired(reply, models[start_day(reply, now)], now=now)
    ]


def start_day(reply: Message, now: datetime) -> date:
    """Return the day of the attempt's start, which sets the price."""
    return (reply.started_at or now).date()


def _requeue_expired(reply: Message, models: list[PricedModel], *, now: datetime) -> bool:
    with transaction.atomic():
        lock_room(reply.chatroom_id)
        if not Message.objects.requeue(reply.pk, reply.attempt, expired_at=now):
            return False
        priced = model_in_service(models, reply.model, on=start_day(reply, now))
        usage = lost_usage(reply, priced.model if priced else None)
        record(reply, outcome=UsageRecord.Outcome.LOST, usage=usage, priced=priced)
    return True


def lost_usage(reply: Message, model: GeminiModel | None) -> Usage:
    """Estimate the usage from the context, and from the published text."""
    newest = [ContextRow._make(row) for row in fetch(CONTEXT_SQL, {"reply": reply.pk})]
    budget = settings.GEMINI_CONTEXT_TOKENS
    context = build_context(reply, newest, budget_tokens=budget, model=model)
    return estimated_usage(prompt_tokens=context.tokens, characters=published_characters(reply))


def published_characters(reply: Message) -> int:
    """Return the number of published characters of an attempt; 0 without Redis."""
    try:
        newest: Any = client().xrevrange(stream_key(reply.pk), count=1)
    except RedisError:
        return 0
    positions = [Position.parse(str(entry_id)) for entry_id, _ in newest]
    return sum(at.offset for at in positions if at.attempt == reply.attempt)

"""One attempt at a reply, from its claim to its end."""

import logging
import time
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.models import DailyQuota, UsageRecord
from chatrooms.models import Chatroom
from messaging.backends import Cancelled, Delta, Final, GeminiError, Usage, stream_reply
from messaging.buffer import tell_readers
from messaging.catalog import GeminiModel
from messaging.context import Context, build_context, calibrated
from messaging.metrics import count_end
from messaging.models import DATABASE_LOST, INTERNAL, Message
from messaging.running import STOP, RunningReply, running_replies

logger = logging.getLogger(__name__)

# Failures that lie in what the user sent; all others give the day's place back.
OWN_FAILURES = frozenset({"blocked", "bad_request", "context_too_long"})
INTERNAL_DETAIL = "Something went wrong here. Regenerate in a moment."
# A reply that takes its worker down each time, or is told to come later each time, ends here.
MOST_ATTEMPTS = 10
# A restart of PostgreSQL takes seconds; a longer outage is left to the lease and the sweep.
OUTAGE_WAITS_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 8)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended. `status` is `queued` for one that is to be made again."""

    status: Message.Status
    error_code: str = ""
    error_detail: str = ""
    provider_code: str = ""
    finish_reason: str = ""
    model_version: str = ""
    usage: Usage | None = None
    characters_per_token: float | None = None
    wait_seconds: float = 0.0
    priced: GeminiModel | None = None


def generate(*, reply_id: uuid.UUID) -> Message | None:
    """Claim a reply, stream it and store its end. Returns it as it ended, None if not claimed.

    Between the claim and the end no database connection is held.
    """
    reply = Message.objects.claim(reply_id=reply_id, now=timezone.now())
    if reply is None:
        return None
    running = running_replies.start(reply.pk, reply.attempt)
    try:
        ending = stream(reply, running)
    except DATABASE_LOST:
        # The lease runs out, and the sweep gives the reply to a worker that has a database.
        raise
    except Exception:
        # The edge of the task: whatever it was, the reply must not stay under way for ever.
        end(reply, running, Ending(Message.Status.FAILED, INTERNAL, INTERNAL_DETAIL))
        raise
    finally:
        running_replies.finish(running)
    end_in_spite_of_outages(reply, running, ending)
    return reply


def stream(reply: Message, running: RunningReply) -> Ending:
    """Ask Gemini for the reply, once more with half the context if that was too long."""
    if reply.stop_requested:
        return Ending(Message.Status.STOPPED)
    if reply.tries > MOST_ATTEMPTS:
        return Ending(Message.Status.FAILED, INTERNAL, INTERNAL_DETAIL)
    priced = GeminiModel.objects.serving(reply.model, on=timezone.now().date())
    if priced:
        reply.model = priced.name
    budget = settings.GEMINI_CONTEXT_TOKENS
    ending = ask(reply, running, build_context(reply, budget_tokens=budget))
    if ending.error_code == "context_too_long" and (reply.context_messages or 0) > 1:
        ending = ask(reply, running, build_context(reply, budget_tokens=budget // 2))
    return replace(ending, priced=priced)


def waited_ms(reply: Message, *, until: datetime | None) -> int | None:
    """How long the person has waited since sending; None where staff had the reply made again."""
    if until is None or reply.attempts_forgiven:
        return None
    return max(0, int((until - reply.created_at) / timedelta(milliseconds=1)))


def ask(reply: Message, running: RunningReply, context: Context) -> Ending:
    reply.context_messages = len(context.turns)
    reply.context_tokens = context.tokens
    reply.context_truncated = context.truncated
    connection.close()
    try:
        for event in stream_reply(context.request(reply.model), cancelled=running.cancellation):
            if isinstance(event, Delta):
                if running.add(storable(event.text)):
                    reply.first_token_at = timezone.now()
                    running_replies.publish([running])
            else:
                final = event
    except Cancelled as cancelled:
        return Ending(
            Message.Status.STOPPED if cancelled.reason == STOP else Message.Status.QUEUED,
            model_version=cancelled.model_version,
            usage=cancelled.usage,
        )
    except GeminiError as error:
        return failure(error, reply, running)
    return success(reply, context, final)


def storable(text: str) -> str:
    """Text as PostgreSQL, Redis and UTF-8 can hold it: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def success(reply: Message, context: Context, final: Final) -> Ending:
    usage = final.usage
    return Ending(
        Message.Status.COMPLETE,
        finish_reason=final.finish_reason,
        model_version=final.model_version,
        usage=usage,
        characters_per_token=None
        if usage.estimated
        else calibrated(reply.chatroom, context, prompt_tokens=usage.prompt_tokens),
    )


def failure(error: GeminiError, reply: Message, running: RunningReply) -> Ending:
    """A failure that names a time, before any text, is waited for in the queue and not here."""
    has_time = error.retry_after is not None and not error.permanent
    if has_time and not running.content and reply.tries < MOST_ATTEMPTS:
        return Ending(Message.Status.QUEUED, wait_seconds=error.retry_after or 0.0)
    logger.warning("Reply %s failed: %s", running.reply_id, error)
    return Ending(
        Message.Status.FAILED,
        error_code=error.code,
        error_detail=error.detail,
        provider_code=error.provider_code,
        model_version=error.model_version,
        usage=error.usage,
    )


def end_in_spite_of_outages(reply: Message, running: RunningReply, ending: Ending) -> None:
    """Write the end, waiting for a database that is being restarted.

    The answer is here and paid for; if the lease is lost meanwhile, nothing is written.
    """
    for wait in OUTAGE_WAITS_SECONDS:
        try:
            return end(reply, running, ending)
        except DATABASE_LOST as error:
            logger.warning("The end of reply %s waits for the database: %s", reply.pk, error)
            connection.close()
            time.sleep(wait)
    return end(reply, running, ending)


def end(reply: Message, running: RunningReply, ending: Ending) -> None:
    """Write how the attempt ended, unless another attempt has the reply, and tell the readers."""
    if ending.status == Message.Status.QUEUED:
        wait = timedelta(seconds=ending.wait_seconds)
        not_before = timezone.now() + wait if wait else None
        Message.objects.put_back(reply.pk, reply.attempt, not_before=not_before)
        return
    with transaction.atomic():
        if not store_end(reply, content=running.content, ending=ending):
            logger.warning("Reply %s was taken up by another attempt", reply.pk)
            return
        record_usage(reply, ending)
        if ending.characters_per_token:
            Chatroom.objects.filter(pk=reply.chatroom_id).update(
                characters_per_token=ending.characters_per_token
            )
    reply.status = ending.status
    count_end(reply, status=ending.status, error_code=ending.error_code)
    logger.info("Reply %s is %s", reply.pk, ending.status)
    tell_readers(reply.pk, running.position)


def store_end(reply: Message, *, content: str, ending: Ending) -> bool:
    """One conditional update; the day's place is given back where the user is not to pay."""
    gives_back = (
        ending.status == Message.Status.FAILED and ending.error_code not in OWN_FAILURES
    ) or (ending.status == Message.Status.STOPPED and not content)
    usage = ending.usage
    ended = Message.objects.filter(
        pk=reply.pk, attempt=reply.attempt, status=Message.Status.GENERATING
    ).update(
        status=ending.status,
        content=content,
        model_version=ending.model_version,
        lease_expires_at=None,
        resend_at=None,
        quota_day=None if gives_back else reply.quota_day,
        first_token_at=reply.first_token_at,
        ended_at=timezone.now(),
        error_code=ending.error_code,
        error_detail=ending.error_detail,
        provider_code=ending.provider_code,
        finish_reason=ending.finish_reason,
        prompt_tokens=usage.prompt_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        cached_tokens=usage.cached_tokens if usage else None,
        thinking_tokens=usage.thinking_tokens if usage else None,
        context_messages=reply.context_messages,
        context_tokens=reply.context_tokens,
        context_truncated=reply.context_truncated,
    )
    if ended and gives_back and reply.quota_day:
        DailyQuota.objects.release(user_id=reply.user_id, day=reply.quota_day)
    return bool(ended)


def record_usage(reply: Message, ending: Ending) -> None:
    """One row in the ledger for each attempt that reached Gemini, at the price of the day."""
    usage = ending.usage or Usage(0, 0, 0, 0, estimated=True)
    tokens = {
        "prompt_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "thinking_tokens": usage.thinking_tokens,
    }
    priced = ending.priced
    UsageRecord.objects.record(
        user_id=reply.user_id,
        reply_id=reply.pk,
        attempt=reply.attempt,
        model=ending.model_version or reply.model,
        outcome=ending.status,
        error_code=ending.error_code,
        provider_code=ending.provider_code,
        started_at=reply.started_at,
        first_token_ms=waited_ms(reply, until=reply.first_token_at),
        reply_ms=waited_ms(reply, until=timezone.now()),
        cost_micro_usd=priced.cost_micro_usd(**tokens) if priced else 0,
        estimated=usage.estimated,
        **tokens,
    )

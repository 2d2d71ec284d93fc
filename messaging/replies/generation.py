"""One attempt at a reply, from its claim to its end."""

import logging
import time
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing.ledger import RECORD, SETTLE
from billing.models import UsageRecord
from gemchat.stores.errors import DATABASE_ERRORS
from gemchat.stores.prepared import fetch
from messaging.gemini import Cancelled, Final, GeminiError, Usage, stream_reply
from messaging.history.branch import Said
from messaging.models import INTERNAL, Message
from messaging.models.gemini_models import GeminiModel, every_model, serving
from messaging.replies.context import NEWEST_PAGE, Context, build_context, calibrated
from messaging.replies.ledger import entry, estimated_usage, record, waited_ms
from messaging.replies.metrics import count_end
from messaging.replies.requeue import requeue
from messaging.replies.running import STOP, RunningReply, running_replies
from messaging.streaming.buffer import tell_readers

logger = logging.getLogger(__name__)

# Failures that lie with Gemini or with this program; these give the day's slot back.
OUR_FAILURES = frozenset({"unavailable", "rate_limited", "misconfigured", "interrupted", INTERNAL})
# Failures that a prompt can bring about once Gemini works on it. With replies that were stopped
# before their first text, the first GIVE_BACKS_PER_DAY of a day give their slot back. The other
# failures lie in what the user sent, and give nothing back.
VAIN_FAILURES = frozenset({"empty", "timeout"})
INTERNAL_DETAIL = "Something went wrong here. Regenerate in a moment."
# A reply that takes its worker down each time, or is told to come later each time, ends here.
MOST_ATTEMPTS = 10
# A restart of PostgreSQL takes seconds; a longer outage is left to the lease and the sweep.
OUTAGE_WAITS_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 8)


# The end of an attempt, as a transaction of its own: its row in the ledger, its cost, the slot of
# the quota where that is given back, the reply, and what the room has learned of its tokens.
# Nothing of it where another attempt has the reply. Every reply comes by here, and the ORM takes
# four statements and three times the CPU. The room is locked first, as everywhere.
END = f"""
WITH room AS MATERIALIZED (
    SELECT id FROM chatrooms_chatroom WHERE id = %(chatroom)s FOR NO KEY UPDATE
), held AS MATERIALIZED (
    SELECT message.id FROM room, messaging_message AS message
    WHERE message.id = %(reply)s AND attempt = %(attempt)s AND status = 'generating'
    FOR NO KEY UPDATE OF message
), recorded AS (
    {RECORD.format(source="held")}
), settled AS (
    {SETTLE.format(source="held")}
), ended AS (
    UPDATE messaging_message AS message SET status = %(status)s, content = %(content)s,
        model_version = %(model_version)s, lease_expires_at = NULL, resend_at = NULL,
        quota_day = CASE WHEN (SELECT is_given_back FROM settled) THEN NULL ELSE quota_day END,
        first_token_at = %(first_token_at)s, ended_at = %(now)s,
        error_code = %(error_code)s, error_detail = %(error_detail)s,
        provider_code = %(provider_code)s, finish_reason = %(finish_reason)s,
        prompt_tokens = CASE WHEN %(is_counted)s THEN %(prompt_tokens)s END,
        output_tokens = CASE WHEN %(is_counted)s THEN %(output_tokens)s END,
        cached_tokens = CASE WHEN %(is_counted)s THEN %(cached_tokens)s END,
        thinking_tokens = CASE WHEN %(is_counted)s THEN %(thinking_tokens)s END,
        context_messages = %(context_messages)s, context_tokens = %(context_tokens)s,
        context_truncated = %(context_truncated)s
    FROM held WHERE message.id = held.id
    RETURNING message.id
), learned AS (
    UPDATE chatrooms_chatroom SET characters_per_token = %(characters_per_token)s FROM held
    WHERE chatrooms_chatroom.id = %(chatroom)s AND %(characters_per_token)s::float8 IS NOT NULL
)
SELECT count(*) FROM ended
"""  # noqa: S608 the values are parameters


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
    claimed = Message.objects.claim(
        reply_id=reply_id, now=timezone.now(), reads=[every_model().sql, NEWEST_PAGE]
    )
    if claimed is None:
        return None
    reply, (models, newest) = claimed
    running = running_replies.start(reply.pk, reply.attempt)
    priced = None
    try:
        priced = serving(map(every_model().instance, models), reply.model, on=timezone.now().date())
        ending = stream(reply, running, priced, newest=list(map(Said._make, newest)))
    except DATABASE_ERRORS:
        # The lease runs out, and the sweep gives the reply to a worker that has a database.
        raise
    except Exception:
        # The edge of the task: whatever it was, the reply must not stay under way for ever.
        usage = (
            estimated_usage(prompt_tokens=reply.context_tokens or 0, text=running.content)
            if running.content
            else None
        )
        failed = Ending(Message.Status.FAILED, INTERNAL, INTERNAL_DETAIL, usage=usage)
        end(reply, running, replace(failed, priced=priced))
        raise
    finally:
        running_replies.finish(running)
    end_in_spite_of_outages(reply, running, ending)
    return reply


def stream(
    reply: Message, running: RunningReply, priced: GeminiModel | None, *, newest: list[Said]
) -> Ending:
    """Ask Gemini for the reply, once more with half the context if that was too long."""
    if reply.stop_requested:
        return Ending(Message.Status.STOPPED)
    if reply.tries > MOST_ATTEMPTS:
        return Ending(Message.Status.FAILED, INTERNAL, INTERNAL_DETAIL)
    if priced:
        reply.model = priced.name
    budget = settings.GEMINI_CONTEXT_TOKENS
    ending = ask(reply, running, build_context(reply, newest, budget_tokens=budget))
    if ending.error_code == "context_too_long" and (reply.context_messages or 0) > 1:
        ending = ask(reply, running, build_context(reply, newest, budget_tokens=budget // 2))
    return replace(ending, priced=priced)


def ask(reply: Message, running: RunningReply, context: Context) -> Ending:
    reply.context_messages = len(context.turns)
    reply.context_tokens = context.tokens
    reply.context_truncated = context.truncated
    connection.close()

    def take(text: str) -> None:
        if running.add(storable(text)):
            reply.first_token_at = timezone.now()
            running_replies.publish_soon()

    try:
        asked = context.request(reply.model)
        final = stream_reply(asked, cancelled=running.cancellation, take=take)
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
        except DATABASE_ERRORS as error:
            logger.warning("The end of reply %s waits for the database: %s", reply.pk, error)
            connection.close()
            time.sleep(wait)
    return end(reply, running, ending)


def end(reply: Message, running: RunningReply, ending: Ending) -> None:
    """Write how the attempt ended, unless another attempt has the reply, and tell the readers."""
    if ending.status == Message.Status.QUEUED:
        wait = timedelta(seconds=ending.wait_seconds)
        not_before = timezone.now() + wait if wait else None
        requeue(
            reply,
            usage=ending.usage,
            priced=ending.priced,
            model_version=ending.model_version,
            not_before=not_before,
        )
        return
    if not store_end(reply, content=running.content, ending=ending):
        logger.warning("Reply %s was taken up by another attempt", reply.pk)
        if ending.usage is not None:
            record(
                reply,
                outcome=UsageRecord.Outcome.LOST,
                usage=ending.usage,
                priced=ending.priced,
                model_version=ending.model_version,
            )
        return
    reply.status = ending.status
    count_end(reply, status=ending.status, error_code=ending.error_code)
    logger.info("Reply %s is %s", reply.pk, ending.status)
    tell_readers(reply.pk, running.position)


def store_end(reply: Message, *, content: str, ending: Ending) -> bool:
    """Write all that the end changes, in one statement; False if another attempt has the reply.

    The day's slot is given back where the user is not to pay.
    """
    now = timezone.now()
    usage = ending.usage
    is_ours = ending.status == Message.Status.FAILED and ending.error_code in OUR_FAILURES
    values = {
        **entry(
            reply,
            outcome=ending.status,
            usage=usage,
            priced=ending.priced,
            now=now,
            model_version=ending.model_version,
            error_code=ending.error_code,
            provider_code=ending.provider_code,
            text_bytes=len(content.encode()),
            gives_back=is_ours or (is_unanswered(ending, content) and usage is None),
            is_unanswered=is_unanswered(ending, content) and usage is not None,
        ),
        "chatroom": reply.chatroom_id,
        "status": ending.status,
        "content": content,
        "model_version": ending.model_version,
        "first_token_at": reply.first_token_at,
        "first_token_ms": waited_ms(reply, until=reply.first_token_at),
        "reply_ms": waited_ms(reply, until=now),
        "error_detail": ending.error_detail,
        "finish_reason": ending.finish_reason,
        "is_counted": usage is not None,
        "context_messages": reply.context_messages,
        "context_tokens": reply.context_tokens,
        "context_truncated": reply.context_truncated,
        "characters_per_token": ending.characters_per_token,
    }
    return fetch(END, values) == [(1,)]


def is_unanswered(ending: Ending, content: str) -> bool:
    """Whether a reply ended without what was asked for, in a way that its user can bring about."""
    if ending.status == Message.Status.STOPPED:
        return not content
    return ending.status == Message.Status.FAILED and ending.error_code in VAIN_FAILURES

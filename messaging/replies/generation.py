"""An attempt at a reply, from the claim to the end."""

import logging
import uuid
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils import timezone

from gemchat.stores.errors import DATABASE_ERRORS
from messaging.gemini import Cancelled, Completion, Delta, GeminiError, Request, stream_reply
from messaging.history.branch import ContextRow
from messaging.models import INTERNAL, GeminiModel, Message
from messaging.models.gemini_models import PricedModel, model_in_service
from messaging.replies.claims import claim_reply
from messaging.replies.finish import INTERNAL_DETAIL, Ending, finish_surely
from messaging.replies.request.build import with_files
from messaging.replies.request.context import Context, build_context, calibrated
from messaging.replies.running import RunningReply, running_replies
from messaging.streaming.buffer import publish_wait

logger = logging.getLogger(__name__)

# Ends a reply after a crash of the worker, or a wait, in each attempt.
MAX_ATTEMPTS = 10
# A shorter wait is over before a person has read about the wait.
SHORTEST_SHOWN_WAIT_SECONDS = 2.0


def generate(*, reply_id: uuid.UUID) -> Message | None:
    """Claim a reply, stream the text and store the end.

    Returns the ended reply; None if not claimed. Between the claim and the end no database
    connection is held.
    """
    now = timezone.now()
    claimed = claim_reply(reply_id=reply_id, now=now)
    if claimed is None:
        return None
    reply = claimed.reply
    running = running_replies.start(reply.pk, reply.attempt)
    priced = None
    fault: Exception | None = None
    try:
        priced = model_in_service(claimed.models, reply.model, on=now.date())
        ending = _run_attempt(reply, running, priced, newest=claimed.newest)
    except DATABASE_ERRORS:
        # The lease runs out, and the sweep gives the reply to a worker with a database.
        raise
    except Exception as error:
        # The edge of the task: the reply must not stay active for ever.
        fault = error
        ending = Ending.internal(reply, running, priced=priced)
    finally:
        running_replies.finish(running)
    finish_surely(reply, running, ending)
    if fault is not None:
        raise fault
    return reply


def _run_attempt(
    reply: Message, running: RunningReply, priced: PricedModel | None, *, newest: list[ContextRow]
) -> Ending:
    """Ask Gemini for the reply; retry a too long context once with half the tokens."""
    if reply.stop_requested:
        return Ending(Message.Status.STOPPED)
    if reply.tries > MAX_ATTEMPTS:
        return Ending(Message.Status.FAILED, INTERNAL, INTERNAL_DETAIL)
    if priced:
        reply.model = priced.name
    model = priced.model if priced else None
    budget = settings.GEMINI_CONTEXT_TOKENS
    if model:
        budget = min(budget, model.input_limit)
    context = build_context(reply, newest, budget_tokens=budget, model=model)
    ending = _call_gemini(reply, running, model, context)
    if ending.error_code == "context_too_long" and len(context.messages) > 1:
        # Not half of the budget: a shorter context would be sent again unchanged.
        half = (context.tokens - context.prompt_file_tokens) // 2
        context = build_context(reply, newest, budget_tokens=half, model=model)
        ending = _call_gemini(reply, running, model, context)
    return replace(ending, priced=priced)


def _call_gemini(
    reply: Message, running: RunningReply, model: GeminiModel | None, context: Context
) -> Ending:
    reply.context_messages = len(context.messages)
    reply.context_tokens = context.tokens
    reply.context_truncated = context.truncated
    reply.chatroom.context_from = context.start
    connection.close()

    def on_delta(delta: Delta) -> None:
        if running.add(strip_unstorable(delta.text)):
            reply.first_token_at = timezone.now()
            running_replies.flush_now()

    def on_wait(error: GeminiError, seconds: float) -> None:
        if seconds >= SHORTEST_SHOWN_WAIT_SECONDS:
            show_wait(reply, error, seconds)

    def stream(request: Request) -> Completion:
        return stream_reply(
            request, cancelled=running.cancellation, on_delta=on_delta, on_wait=on_wait
        )

    try:
        completion = with_files(context, reply, model, running.cancellation, stream)
    except Cancelled as cancelled:
        return Ending.cancelled(cancelled)
    except GeminiError as error:
        return failure(error, reply, running)
    return success(reply, context, completion)


def show_wait(reply: Message, error: GeminiError, seconds: float) -> None:
    """Show readers that the reply waits; without the database the reply waits unseen."""
    retry_at = timezone.now() + timedelta(seconds=seconds)
    try:
        Message.objects.note_wait(reply.pk, reply.attempt, reason=error.code, retry_at=retry_at)
    except DATABASE_ERRORS as fault:
        logger.warning("The wait of reply %s is not shown: %s", reply.pk, fault)
    else:
        publish_wait(reply.pk)
    finally:
        connection.close()


def strip_unstorable(text: str) -> str:
    """Remove unstorable text for PostgreSQL, Redis and UTF-8: NUL and lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def success(reply: Message, context: Context, completion: Completion) -> Ending:
    usage = completion.usage
    # The tokens of several requests say nothing about the context of a single request. Nor do
    # tokens of files say anything about text.
    characters_per_token = (
        None
        if usage.estimated or completion.requests > 1 or context.files
        else calibrated(reply.chatroom, context, prompt_tokens=usage.prompt_tokens)
    )
    return Ending.complete(completion, characters_per_token=characters_per_token)


def failure(error: GeminiError, reply: Message, running: RunningReply) -> Ending:
    """Return the ending of an attempt after a failure.

    A failure with a time, before any text, waits in the queue and not in the worker.
    """
    has_time = error.retry_after is not None and not error.permanent
    if has_time and not running.content and reply.tries < MAX_ATTEMPTS:
        return Ending(
            Message.Status.QUEUED,
            wait_seconds=error.retry_after or 0.0,
            wait_reason=error.code,
            usage=error.usage,
            model_version=error.model_version,
        )
    logger.warning("Reply %s failed: %s", running.reply_id, error)
    return Ending.failed(error)

"""The end of an attempt at a reply, written in a single statement."""

import logging
import time
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Self

from django.db import connection
from django.utils import timezone

from billing.models import UsageRecord
from billing.statements import settle_cte, settlement_params, usage_record_cte
from chatrooms.statements import calibrate_cte, calibrate_params, lock_room_cte
from gemchat.stores.errors import DATABASE_ERRORS
from gemchat.stores.statements import fetch
from messaging.gemini import Cancelled, Completion, GeminiError, Usage
from messaging.models import INTERNAL, Message
from messaging.models.gemini_models import PricedModel
from messaging.replies.ledger import build_settlement, estimated_usage, record, waited_ms
from messaging.replies.metrics import count_end
from messaging.replies.requeue import requeue
from messaging.replies.running import STOP, RunningReply
from messaging.streaming.buffer import publish_end

logger = logging.getLogger(__name__)

# Failures of Gemini or of the program; such a failure gives the day's slot back.
REFUNDED_FAILURES = frozenset(
    {"unavailable", "rate_limited", "misconfigured", "interrupted", INTERNAL}
)
# Failures that a prompt can cause once Gemini works on the prompt. Replies stopped before the first
# text count too: the first GIVE_BACKS_PER_DAY of a day give the slot back. All other failures lie
# in the user's request, and give nothing back.
CHARGED_FAILURES = frozenset({"empty", "timeout"})
INTERNAL_DETAIL = "Something went wrong here. Regenerate in a moment."
# PostgreSQL's class of errors for a value beyond a limit, as a text too long for an index.
PROGRAM_LIMIT_EXCEEDED = "54"
# A restart of PostgreSQL takes seconds. The lease and the sweep end a longer outage.
OUTAGE_WAITS_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 8)


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an attempt. `status` is `queued` for an attempt to be made again.

    A field with the name of a column of the reply is written to the column.
    """

    status: Message.Status
    error_code: str = ""
    error_detail: str = ""
    provider_code: str = ""
    finish_reason: str = ""
    model_version: str = ""
    usage: Usage | None = None
    characters_per_token: float | None = None
    wait_seconds: float = 0.0
    wait_reason: str = ""
    priced: PricedModel | None = None

    @classmethod
    def complete(cls, completion: Completion, *, characters_per_token: float | None) -> Self:
        return cls(
            Message.Status.COMPLETE,
            finish_reason=completion.finish_reason,
            provider_code=completion.provider_code,
            model_version=completion.model_version,
            usage=completion.usage,
            characters_per_token=characters_per_token,
        )

    @classmethod
    def failed(cls, error: GeminiError) -> Self:
        return cls(
            Message.Status.FAILED,
            error_code=error.code,
            error_detail=error.detail,
            provider_code=error.provider_code,
            model_version=error.model_version,
            usage=error.usage,
        )

    @classmethod
    def internal(cls, reply: Message, running: RunningReply, *, priced: PricedModel | None) -> Self:
        """End an attempt after a fault of the program; any text has a cost."""
        text = running.content
        usage = estimated_usage(prompt_tokens=reply.context_tokens or 0, text=text)
        return cls(
            Message.Status.FAILED,
            INTERNAL,
            INTERNAL_DETAIL,
            usage=usage if text else None,
            priced=priced,
        )

    @classmethod
    def cancelled(cls, cancelled: Cancelled) -> Self:
        """End an attempt for the user, or leave the reply to another worker."""
        return cls(
            Message.Status.STOPPED if cancelled.reason == STOP else Message.Status.QUEUED,
            model_version=cancelled.model_version,
            usage=cancelled.usage,
        )


COLUMNS = {field.name for field in Message._meta.concrete_fields}
ENDING_COLUMNS = [field.name for field in fields(Ending) if field.name in COLUMNS]
USAGE_COLUMNS = [field.name for field in fields(Usage) if field.name in COLUMNS]
# Columns set by the attempt.
ATTEMPT_COLUMNS = ["first_token_at", "context_messages", "context_tokens", "context_truncated"]
WRITTEN_COLUMNS = [*ENDING_COLUMNS, *USAGE_COLUMNS, *ATTEMPT_COLUMNS, "content", "ended_at"]

# The statement is a transaction. The transaction has the row in the ledger with the cost, the
# reply, and the room's characters per token and start of the context. A returned slot of the quota
# is in the transaction too. Nothing is written if another attempt has the reply. The room is locked
# first, as everywhere.
# The ORM takes four statements and three times the CPU.
FINISH_SQL = """
WITH room AS MATERIALIZED (
    {lock_room}
), held AS MATERIALIZED (
    SELECT message.id FROM room, messaging_message AS message
    WHERE message.id = %(reply)s AND attempt = %(attempt)s AND status = 'generating'
    FOR NO KEY UPDATE OF message
), recorded AS (
    {record}
), settled AS (
    {settle}
), ended AS (
    UPDATE messaging_message AS message SET {written},
        lease_expires_at = NULL, resend_at = NULL,
        quota_day = CASE WHEN (SELECT is_given_back FROM settled) THEN NULL ELSE quota_day END
    FROM held WHERE message.id = held.id
    RETURNING message.id
), calibrated AS (
    {calibrate}
)
SELECT count(*) FROM ended
"""


@cache
def finish_sql() -> str:
    return FINISH_SQL.format(
        lock_room=lock_room_cte(),
        record=usage_record_cte(source="held"),
        settle=settle_cte(source="held"),
        calibrate=calibrate_cte(source="held"),
        written=", ".join(f"{column} = %({column})s" for column in WRITTEN_COLUMNS),
    )


def store_end(reply: Message, *, content: str, ending: Ending) -> bool:
    """Write all changes of the end; False if another attempt has the reply."""
    now = timezone.now()
    usage = ending.usage
    is_ours = ending.status == Message.Status.FAILED and ending.error_code in REFUNDED_FAILURES
    settlement = build_settlement(
        reply,
        outcome=ending.status,
        usage=usage,
        priced=ending.priced,
        now=now,
        model_version=ending.model_version,
        error_code=ending.error_code,
        provider_code=ending.provider_code,
        first_token_ms=waited_ms(reply, until=reply.first_token_at),
        reply_ms=waited_ms(reply, until=now),
        text_bytes=len(content.encode()),
        gives_back=is_ours or (is_unanswered(ending, content) and usage is None),
        is_unanswered=is_unanswered(ending, content) and usage is not None,
    )
    room = calibrate_params(
        chatroom_id=reply.chatroom_id,
        characters_per_token=ending.characters_per_token,
        # As the attempt has set the value, or as the claim has read the value. No other reply of
        # the room can have written meanwhile: `message_one_generating_in_a_room`.
        context_from=reply.chatroom.context_from,
    )
    values = {
        **settlement_params(settlement),
        **room,
        **written_values(reply, content=content, ending=ending, now=now),
        "reply": reply.pk,
        "attempt": reply.attempt,
    }
    return fetch(finish_sql(), values) == [(1,)]


def written_values(
    reply: Message, *, content: str, ending: Ending, now: datetime
) -> dict[str, Any]:
    """Collect the values of WRITTEN_COLUMNS."""
    return {
        **{name: getattr(ending, name) for name in ENDING_COLUMNS},
        **{name: getattr(ending.usage, name, None) for name in USAGE_COLUMNS},
        **{name: getattr(reply, name) for name in ATTEMPT_COLUMNS},
        "content": content,
        "ended_at": now,
    }


def is_unanswered(ending: Ending, content: str) -> bool:
    """Whether a reply ended without an answer, in a way the user can cause."""
    if ending.status == Message.Status.STOPPED:
        return not content
    return ending.status == Message.Status.FAILED and ending.error_code in CHARGED_FAILURES


def finish_surely(reply: Message, running: RunningReply, ending: Ending) -> None:
    """Write the end; an end that no retry can write becomes `internal`."""
    content = running.content
    if try_to_finish(reply, running, ending, content=content):
        return
    internal = Ending.internal(reply, running, priced=ending.priced)
    if not try_to_finish(reply, running, internal, content=content):
        # Nothing of this ending comes from outside.
        finish_with_retries(reply, running, replace(internal, usage=None), content="")


def try_to_finish(reply: Message, running: RunningReply, ending: Ending, *, content: str) -> bool:
    """Write the end; False if no retry can write the values."""
    try:
        finish_with_retries(reply, running, ending, content=content)
    # A second try would meet any other error again, and the reply must not stay active.
    except Exception as error:
        if is_outage(error):
            raise
        # Without the message and the traceback: PostgreSQL quotes the row, and with it the text.
        cause = getattr(error.__cause__, "sqlstate", None) or "no SQL error"
        logger.error(
            "The end of reply %s cannot be written: %s, %s", reply.pk, type(error).__name__, cause
        )
        return False
    return True


def is_outage(error: Exception) -> bool:
    """Whether a later write of the same values may succeed."""
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    return isinstance(error, DATABASE_ERRORS) and not sqlstate.startswith(PROGRAM_LIMIT_EXCEEDED)


def finish_with_retries(
    reply: Message, running: RunningReply, ending: Ending, *, content: str
) -> None:
    """Write the end, with waits for a restart of the database.

    The answer is here and paid for. If the lease is lost meanwhile, nothing is written.
    """
    for wait in OUTAGE_WAITS_SECONDS:
        try:
            return finish(reply, running, ending, content=content)
        except DATABASE_ERRORS as error:
            if not is_outage(error):
                raise
            logger.warning("The end of reply %s waits for the database: %s", reply.pk, error)
            connection.close()
            time.sleep(wait)
    return finish(reply, running, ending, content=content)


def finish(reply: Message, running: RunningReply, ending: Ending, *, content: str) -> None:
    """Write the end of an attempt, unless another attempt has the reply; notify readers."""
    if ending.status == Message.Status.QUEUED:
        wait = timedelta(seconds=ending.wait_seconds)
        retry_at = timezone.now() + wait if wait else None
        requeue(
            reply,
            usage=ending.usage,
            priced=ending.priced,
            model_version=ending.model_version,
            retry_at=retry_at,
            wait_reason=ending.wait_reason,
        )
        return
    if not store_end(reply, content=content, ending=ending):
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
    publish_end(reply.pk, running.position)

"""SQL to claim a reply, and to find the next replies of a user."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from psycopg.types.json import Jsonb

from accounts.models import User
from accounts.statements import lock_user_sql, user_rows_cte
from billing.plans import plan_for_user
from chatrooms.statements import room_rows_cte
from gemchat.stores.statements import CompiledQuery, execute_pipeline, fetch
from messaging.history.branch import ContextRow
from messaging.models import Message
from messaging.models.gemini_models import PricedModel, priced_models_sql
from messaging.replies.request.context import CONTEXT_SQL

# An unblocked reply: no reply of the room is in generation, and no reply sent earlier is queued.
# Served by `message_under_way`.
CLAIMABLE_SQL = """
reply.status = 'queued'
AND (reply.retry_at IS NULL OR reply.retry_at <= %(now)s)
AND NOT EXISTS (
    SELECT 1 FROM messaging_message other
    WHERE other.user_id = reply.user_id AND other.chatroom_id = reply.chatroom_id
    AND other.status IN ('queued', 'generating')
    AND (other.status = 'generating' OR other.id < reply.id)
)
"""
OWNER_SQL = "SELECT user_id FROM messaging_message WHERE id = %(reply)s AND status = 'queued'"
MODEL_SQL = "SELECT model FROM messaging_message WHERE id = %(reply)s"
CLAIM_SQL = """
UPDATE messaging_message AS reply SET status = 'generating', attempt = reply.attempt + 1,
    lease_expires_at = %(lease)s, started_at = %(now)s
FROM ({users}) AS owner, ({rooms}) AS room
WHERE reply.id = %(reply)s AND owner.id = reply.user_id AND room.id = reply.chatroom_id
AND {claimable}
AND (%(slots)s::jsonb ->> owner.tier)::bigint > (
    SELECT count(*) FROM messaging_message WHERE user_id = owner.id AND status = 'generating'
)
RETURNING {columns}
"""
CLAIMABLE_IDS_SQL = f"""
SELECT reply.id FROM messaging_message AS reply
WHERE reply.user_id = %(user)s AND {CLAIMABLE_SQL} ORDER BY reply.id
"""  # noqa: S608 the values are parameters


@dataclass(frozen=True, slots=True)
class ClaimedReply:
    """A claimed reply, with the first data for the generation.

    `newest` is the prompt and a page of the messages before the prompt.
    """

    reply: Message
    models: list[PricedModel]
    newest: list[ContextRow]


def claim_reply(*, reply_id: uuid.UUID, now: datetime) -> ClaimedReply | None:
    """Claim a queued reply, and read the context; None if not claimable.

    An ended reply, a reply in generation and a reply with a wait are not claimable. An earlier
    active reply of the room prevents a claim. A user with the plan's maximum of replies in
    generation has no claimable reply.
    """
    values: dict[str, Any] = {
        "reply": reply_id,
        "slots": Jsonb({tier: plan.concurrent_replies for tier, plan in settings.PLANS.items()}),
        "lease": now + timedelta(seconds=settings.REPLY_LEASE_SECONDS),
        "now": now,
        "price_day": now.date(),
    }
    # The lock of the user keeps two workers from both taking the last slot: the second worker waits
    # for the lock, and then counts. The pipeline is a single transaction, and a single round trip.
    model = priced_models_sql(name=MODEL_SQL)
    statements = [lock_user_sql(user_id=OWNER_SQL), claim_sql(), model, CONTEXT_SQL]
    _, claimed, models, newest = execute_pipeline(statements, values)
    row = claimed.fetchone()
    if row is None:
        return None
    return ClaimedReply(
        claimed_rows().from_row(row),
        list(map(PricedModel.from_row, models.fetchall())),
        list(map(ContextRow._make, newest.fetchall())),
    )


@cache
def claimed_rows() -> CompiledQuery[Message]:
    return CompiledQuery(Message.objects.select_related("chatroom", "user"), "chatroom", "user")


@cache
def claim_sql() -> str:
    return CLAIM_SQL.format(
        users=user_rows_cte(),
        rooms=room_rows_cte(),
        claimable=CLAIMABLE_SQL,
        columns=claimed_rows().columns("reply", "room", "owner"),
    )


def claimable_ids(*, user_id: uuid.UUID, now: datetime) -> list[uuid.UUID]:
    """List the claimable replies of a user, oldest first."""
    rows = fetch(CLAIMABLE_IDS_SQL, {"user": user_id, "now": now})
    if not rows:
        return []
    owner = User.objects.get(pk=user_id)
    generating = Message.objects.filter(user=owner, status=Message.Status.GENERATING).count()
    return [reply_id for (reply_id,) in rows][
        : max(0, plan_for_user(owner).concurrent_replies - generating)
    ]

"""Read the active branch of a room, at a cost bounded by the page."""

import uuid
from collections import namedtuple
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from accounts.models import User
from chatrooms.models import Chatroom
from chatrooms.statements import own_room_cte, own_room_params
from gemchat.stores.statements import columns_of, fetch
from messaging.models import Message

Row = TypeVar("Row", "ContextRow", "MessageRow")

# Points every ancestor of a message at the branch of the message. A row with the right branch is
# not written again.
ACTIVATE_SQL = """
WITH RECURSIVE branch (id, parent_id) AS (
    SELECT id, parent_id FROM messaging_message WHERE id = %(message)s
    UNION ALL
    SELECT above.id, above.parent_id
    FROM branch JOIN messaging_message above ON above.id = branch.parent_id
)
UPDATE messaging_message above SET active_child = branch.id
FROM branch WHERE above.id = branch.parent_id AND above.active_child IS DISTINCT FROM branch.id
"""
# The number of messages in the search for a parent, from the end of the active branch.
NEARBY_DEPTH = 200

# The columns of a message, without `words`: only the search needs `words`.
MESSAGE_SQL = columns_of(Message, "messaging_message")
# The ids of a message's variants, oldest first: an index scan for each message. Given the chance,
# the planner takes every message of a large room for a first message.
VARIANTS_SQL = """
CASE WHEN messaging_message.parent_id IS NULL THEN ARRAY(
    SELECT variant.id FROM messaging_message variant
    WHERE variant.chatroom_id = messaging_message.chatroom_id AND variant.parent_id IS NULL
    ORDER BY variant.id
) ELSE ARRAY(
    SELECT variant.id FROM messaging_message variant
    WHERE variant.parent_id = messaging_message.parent_id
    ORDER BY variant.id
) END"""
# The ids of a message's files, in order, or NULL: psycopg takes longer for an empty array. An index
# scan for each prompt.
FILES_SQL = """
CASE WHEN messaging_message.sender = 'user' THEN nullif(ARRAY(
    SELECT file_id FROM messaging_messagefile
    WHERE message_id = messaging_message.id ORDER BY position
), '{}') END"""
SIBLINGS_SQL = f"""
SELECT id, {VARIANTS_SQL}, {FILES_SQL} FROM messaging_message WHERE id = ANY(%s)
"""  # noqa: S608 the values are parameters
ACTIVE_LEAF_SQL = f"SELECT active_leaf FROM ({own_room_cte()}) AS room"  # noqa: S608


# Columns of a message hidden from clients.
HIDDEN = {
    "user_id",
    "active_child",
    "attempt",
    "attempts_reset",
    "lease_expires_at",
    "resend_at",
    "stop_requested",
    "quota_day",
    "started_at",
    "first_token_at",
    "ended_at",
    "provider_code",
}
VISIBLE = [field.attname for field in Message._meta.concrete_fields if field.attname not in HIDDEN]
VISIBLE += ["sibling_ids", "file_ids"]
Columns: Any = namedtuple("Columns", VISIBLE)  # type: ignore[misc]


class MessageRow(Columns):
    """A message in the form for MessageSerializer.

    A page of rows takes a third of the time of a page of instances. The ids and the time are text,
    as in the JSON.
    """

    __slots__ = ()
    id: str
    chatroom_id: str
    parent_id: str | None


class ContextRow(NamedTuple):
    """A message in the form for Gemini."""

    id: uuid.UUID
    parent_id: uuid.UUID | None
    content: str
    file_ids: list[uuid.UUID] | None


CONTEXT_ROW_SQL = ", ".join(
    FILES_SQL if name == "file_ids" else f"messaging_message.{name}" for name in ContextRow._fields
)
AS_TEXT = {
    **{name: f"messaging_message.{name}::text" for name in ("id", "chatroom_id", "parent_id")},
    # In the format of `gemchat.api.text.rfc3339`.
    "created_at": """replace(to_char(messaging_message.created_at AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')""",
    "sibling_ids": f"({VARIANTS_SQL})::text[]",
    "file_ids": FILES_SQL,
}
MESSAGE_ROW_SQL = ", ".join(AS_TEXT.get(name, f"messaging_message.{name}") for name in VISIBLE)

# The newest messages of a room, of any branch, and the end of the active branch.
NEWEST_SQL = f"""
SELECT room.active_leaf::text, {MESSAGE_ROW_SQL}
FROM ({own_room_cte()}) AS room JOIN messaging_message ON messaging_message.chatroom_id = room.id
ORDER BY messaging_message.id DESC LIMIT %(limit)s
"""  # noqa: S608 the values are parameters

# Walks from a message towards the root. Each step is a read by primary key.
ANCESTORS_SQL = """
WITH RECURSIVE branch (id, parent_id, height) AS (
    SELECT id, parent_id, 1 FROM messaging_message WHERE id = {start}
    UNION ALL
    SELECT above.id, above.parent_id, branch.height + 1
    FROM branch JOIN messaging_message above ON above.id = branch.parent_id
    WHERE branch.height < {limit}
)
SELECT {columns} FROM branch JOIN messaging_message USING (id)
ORDER BY branch.height DESC
"""

# Walks from a message towards the leaf. Of several children a step takes the active child, or the
# newest child where nobody has chosen. Each step is a read of `message_children`.
DESCENDANTS_SQL = """
WITH RECURSIVE branch (id, active_child, depth) AS (
    SELECT id, active_child, 0 FROM messaging_message WHERE id = %(start)s
    UNION ALL
    SELECT below.id, below.active_child, branch.depth + 1
    FROM branch CROSS JOIN LATERAL (
        SELECT child.id, child.active_child FROM messaging_message child
        WHERE child.parent_id = branch.id
        ORDER BY (child.id = branch.active_child) DESC NULLS LAST, child.id DESC
        LIMIT 1
    ) below
    WHERE branch.depth < %(limit)s
)
SELECT {columns} FROM branch JOIN messaging_message USING (id)
WHERE branch.depth > 0 ORDER BY branch.depth
"""

ROOT_SQL = """
WITH RECURSIVE branch (id, parent_id) AS (
    SELECT id, parent_id FROM messaging_message WHERE id = %(leaf)s
    UNION ALL
    SELECT above.id, above.parent_id
    FROM branch JOIN messaging_message above ON above.id = branch.parent_id
)
SELECT id FROM branch WHERE parent_id IS NULL
"""


def ancestors(start: uuid.UUID | None, *, limit: int) -> list[Message]:
    """Return at most `limit` messages that end with `start`, oldest first."""
    statement = ANCESTORS_SQL.format(columns=MESSAGE_SQL, start="%(start)s", limit="%(limit)s")
    return list(Message.objects.raw(statement, {"start": start, "limit": limit}))


def descendants(start: uuid.UUID, *, limit: int) -> list[Message]:
    """Return at most `limit` messages after `start` on the active branch, oldest first."""
    statement = DESCENDANTS_SQL.format(columns=MESSAGE_SQL)
    return list(Message.objects.raw(statement, {"start": start, "limit": limit}))


def ancestor_rows(start: uuid.UUID | None, *, limit: int) -> list[MessageRow]:
    """Return the rows of `ancestors` for clients."""
    statement = ANCESTORS_SQL.format(columns=MESSAGE_ROW_SQL, start="%(start)s", limit="%(limit)s")
    return rows(MessageRow, statement, start=start, limit=limit)


def context_rows(start: uuid.UUID | None, *, limit: int) -> list[ContextRow]:
    """Return the rows of `ancestors` for Gemini."""
    statement = ANCESTORS_SQL.format(columns=CONTEXT_ROW_SQL, start="%(start)s", limit="%(limit)s")
    return rows(ContextRow, statement, start=start, limit=limit)


def context_sql(*, limit: int) -> str:
    """Return the SQL of `context_rows` that starts with the prompt of `%(reply)s`."""
    prompt = "(SELECT parent_id FROM messaging_message WHERE id = %(reply)s)"
    return ANCESTORS_SQL.format(columns=CONTEXT_ROW_SQL, start=prompt, limit=limit)


def descendant_rows(start: uuid.UUID, *, limit: int) -> list[MessageRow]:
    """Return the rows of `descendants` for clients."""
    return rows(
        MessageRow, DESCENDANTS_SQL.format(columns=MESSAGE_ROW_SQL), start=start, limit=limit
    )


def rows(kind: type[Row], statement: str, **values: Any) -> list[Row]:
    return list(map(kind._make, fetch(statement, values)))


def activate(message: Message, *, room: Chatroom) -> None:
    """Make a message part of the active branch.

    Mostly the parent is near the end of the active branch. Then every ancestor points to the branch
    already, and a single row is written. Otherwise every step from the root on is checked.
    """
    if message.parent_id is None:
        return
    if any(
        shown.pk == message.parent_id for shown in ancestors(room.active_leaf, limit=NEARBY_DEPTH)
    ):
        Message.objects.filter(pk=message.parent_id).update(active_child=message.pk)
        return
    with connection.cursor() as cursor:
        cursor.execute(ACTIVATE_SQL, {"message": message.pk})


def root_of(room: Chatroom) -> uuid.UUID | None:
    """Return the first message's id on the active branch; None in an empty room.

    With a single first message there is no choice. With several first messages, a statement climbs
    the whole branch.
    """
    roots = Message.objects.filter(chatroom=room, parent=None).values_list("pk", flat=True)[:2]
    if len(roots) < 2:
        return roots[0] if roots else None
    with connection.cursor() as cursor:
        cursor.execute(ROOT_SQL, {"leaf": room.active_leaf})
        return cursor.fetchone()[0]


def leaf_below(start: uuid.UUID) -> uuid.UUID:
    """Return the end of the active branch below a message, or the message itself."""
    page = descendants(start, limit=1000)
    leaf = start
    while page:
        leaf = page[-1].pk
        page = descendants(leaf, limit=1000)
    return leaf


def latest_page(
    *, user: User, chatroom_id: uuid.UUID | str, limit: int
) -> tuple[list[MessageRow], bool]:
    """Return the last messages of the active branch, and whether earlier messages exist.

    The messages are in order, oldest first. A room of another user has no messages. Mostly the
    messages are the newest of the room. A read of the newest messages takes PostgreSQL a third of
    the time of a walk.
    """
    asked = own_room_params(chatroom_id=chatroom_id, user_id=user.pk) | {"limit": limit + 1}
    messages = contiguous_branch(fetch(NEWEST_SQL, asked))
    if messages is None:
        statement = ANCESTORS_SQL.format(
            columns=MESSAGE_ROW_SQL, start=f"({ACTIVE_LEAF_SQL})", limit="%(limit)s"
        )
        messages = rows(MessageRow, statement, **asked)
    return messages[-limit:], len(messages) > limit


def contiguous_branch(found: list[tuple[Any, ...]]) -> list[MessageRow] | None:
    """Return the rows of NEWEST_SQL, oldest first; None if other messages are between.

    The rows are the end of the active branch if each row is the parent of the row before.
    """
    expected = found[0][0] if found else None
    messages = [MessageRow._make(row[1:]) for row in found]
    for message in messages:
        if message.id != expected:
            return None
        expected = message.parent_id
    return messages[::-1]


def with_siblings(messages: Iterable[Message]) -> list[Message]:
    """Set `sibling_ids`, all variants of the turn, oldest first; and `file_ids`.

    Any number of messages takes a single query.
    """
    page = list(messages)
    found = {row[0]: row for row in fetch(SIBLINGS_SQL, [[message.pk for message in page]])}
    for message in page:
        # A message erased meanwhile has no other variant.
        _, message.sibling_ids, message.file_ids = found.get(message.pk, (None, [message.pk], None))
    return page

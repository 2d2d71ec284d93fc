"""SQL of chatrooms, alone or as parts of a caller's statement.

A function with the suffix `_cte` returns a common table expression. An expression with a `source`
writes nothing unless `source` has a row. The names of all parameters begin with `room_`.
"""

import uuid
from datetime import datetime
from typing import Any

from chatrooms.models import Chatroom, Position
from gemchat.stores.statements import columns_of

ROWS_SQL = f"SELECT {columns_of(Chatroom, 'chatrooms_chatroom')} FROM chatrooms_chatroom"  # noqa: S608
OWN_ROOM_SQL = """
SELECT id, active_leaf, model FROM chatrooms_chatroom
WHERE id = %(room_id)s AND user_id = %(room_user)s AND deleted_at IS NULL
"""
RECORD_EXCHANGE_SQL = """
UPDATE chatrooms_chatroom SET active_leaf = %(room_leaf)s,
    message_count = message_count + %(room_added)s,
    last_message_at = %(room_now)s, updated_at = %(room_now)s
FROM {source} WHERE chatrooms_chatroom.id = %(room_id)s
"""
CALIBRATE_SQL = """
UPDATE chatrooms_chatroom SET context_from = %(room_context_from)s,
    characters_per_token = coalesce(%(room_characters_per_token)s, characters_per_token)
FROM {source} WHERE chatrooms_chatroom.id = %(room_id)s AND (
    %(room_characters_per_token)s::float8 IS NOT NULL
    OR context_from IS DISTINCT FROM %(room_context_from)s::uuid
)
"""
# The rooms of the list, as in `Chatroom.objects.for_list`, and the order of the list.
LISTED_SQL = """
    room.user_id = %(room_user)s AND room.archived = %(room_archived)s
    AND room.expires_at IS NULL AND room.deleted_at IS NULL
"""
AFTER_SQL = """
    AND (room.pinned, room.last_message_at, room.id)
        < (%(room_after_pinned)s, %(room_after_at)s, %(room_after_id)s)
"""
TITLED_SQL = """
SELECT id FROM chatrooms_chatroom
WHERE user_id = %(room_user)s AND deleted_at IS NULL AND title_words @@ %(room_query)s::tsquery
"""


def room_rows_cte() -> str:
    """Return every room with every column, for a join."""
    return ROWS_SQL


def own_room_cte(*, is_locked: bool = False) -> str:
    """Return `id`, `active_leaf` and `model` of a user's room; the lock is for an update."""
    return f"{OWN_ROOM_SQL} FOR NO KEY UPDATE" if is_locked else OWN_ROOM_SQL


def own_room_params(*, chatroom_id: uuid.UUID | str, user_id: uuid.UUID) -> dict[str, Any]:
    return {"room_id": chatroom_id, "room_user": user_id}


def lock_room_cte() -> str:
    """Lock a room; returns its `id`, or no row if the room is gone."""
    return "SELECT id FROM chatrooms_chatroom WHERE id = %(room_id)s FOR NO KEY UPDATE"


def record_exchange_cte(*, source: str) -> str:
    """Count new messages of a room, and make `room_leaf` the end of the active branch."""
    return RECORD_EXCHANGE_SQL.format(source=source)


def record_exchange_params(*, leaf: uuid.UUID, added: int, at: datetime) -> dict[str, Any]:
    return {"room_leaf": leaf, "room_added": added, "room_now": at}


def calibrate_cte(*, source: str) -> str:
    """Store the start of a room's context, and the characters per token unless NULL.

    A room with the same values is not written again.
    """
    return CALIBRATE_SQL.format(source=source)


def calibrate_params(
    *,
    chatroom_id: uuid.UUID,
    characters_per_token: float | None,
    context_from: uuid.UUID | None,
) -> dict[str, Any]:
    return {
        "room_id": chatroom_id,
        "room_characters_per_token": characters_per_token,
        "room_context_from": context_from,
    }


def titled_cte() -> str:
    """Return the ids of a user's rooms with all query words in the title."""
    return TITLED_SQL


def lookup_cte(room_id: str) -> str:
    """Return a room with every column.

    OFFSET makes PostgreSQL read each room by the primary key. The planner cannot know that the
    rooms are few, and would read the whole table.
    """
    return f"SELECT * FROM chatrooms_chatroom WHERE id = {room_id} OFFSET 0"  # noqa: S608


def listed_cte(*, is_after: bool, limit: str) -> str:
    """Return rooms of a list in the order of the list, with every column."""
    return f"""
SELECT * FROM chatrooms_chatroom AS room WHERE {listed_condition(is_after=is_after)}
ORDER BY {list_order("room")} LIMIT {limit}
"""  # noqa: S608 the values are parameters


def listed_condition(*, is_after: bool) -> str:
    """Return the condition for a `room` of the list, after a position if given."""
    return LISTED_SQL + (AFTER_SQL if is_after else "")


def list_order(table: str) -> str:
    return f"{table}.pinned DESC, {table}.last_message_at DESC, {table}.id DESC"


def list_params(
    *, user_id: uuid.UUID, query: str, archived: bool, after: Position | None
) -> dict[str, Any]:
    pinned, at, room_id = after or (None, None, None)
    return {
        "room_user": user_id,
        "room_query": query,
        "room_archived": archived,
        "room_after_pinned": pinned,
        "room_after_at": at,
        "room_after_id": room_id,
    }

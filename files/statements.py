"""SQL of the space of a user, exact at any number of parallel uploads.

Each pair of statements takes the lock of the user first. The second statement then sees every
earlier change, so the sum of the user's rows is exact.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from django.apps import apps

from gemchat.stores.locks import Lock, lock_name
from gemchat.stores.statements import execute_pipeline, insert_into

if TYPE_CHECKING:
    from files.models import File

LOCK_SQL = "SELECT pg_advisory_xact_lock(hashtextextended(%(lock)s, 0))"
USED_SQL = """
SELECT coalesce(sum(size), 0) FROM files_file
WHERE user_id = %(user)s AND status IN ('receiving', 'received', 'ready')
"""
RESERVED_SQL = {
    "id": "%(id)s",
    "user_id": "%(user)s",
    "status": "'receiving'",
    "name": "%(name)s",
    "size": "%(size)s",
    "lease_expires_at": "%(lease)s",
    "created_at": "%(now)s",
    "erase_at": "%(erase_at)s",
}
# A picture may grow by its new encoding, so the space is asked for again.
FINISH_SQL = f"""
UPDATE files_file SET status = 'ready', media_type = %(media_type)s, size = %(size)s,
    width = %(width)s, height = %(height)s, pages = %(pages)s, seconds = %(seconds)s,
    tokens = %(tokens)s, lease_expires_at = NULL, examined_at = %(now)s
WHERE id = %(id)s AND status = 'received' AND attempt = %(attempt)s
    AND lease_expires_at IS NOT NULL
    AND (%(size)s <= size OR ({USED_SQL}) - size + %(size)s <= %(limit)s)
RETURNING id
"""  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What an examination found in a file that is fit."""

    media_type: str
    size: int
    tokens: int
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    seconds: float | None = None


@cache
def _reserve_sql() -> str:
    # The model may load after this module.
    insert = insert_into(apps.get_model("files", "File"), RESERVED_SQL)
    return f"{insert}\nWHERE ({USED_SQL}) + %(size)s <= %(limit)s RETURNING id"


def reserve_space(
    *,
    file_id: uuid.UUID,
    user_id: uuid.UUID,
    name: str,
    size: int,
    limit: int,
    lease: datetime,
    now: datetime,
    erase_at: datetime,
) -> bool:
    """Insert the row of an upload if the user has space; False without space."""
    values = {
        "id": file_id,
        "user": user_id,
        "name": name,
        "size": size,
        "limit": limit,
        "lease": lease,
        "now": now,
        "erase_at": erase_at,
    }
    return _changed([LOCK_SQL, _reserve_sql()], values, user_id)


def finish(*, file: "File", found: Examined, limit: int, now: datetime) -> bool:
    """Make a file ready; False after the attempt, or without space for growth."""
    values = {
        **vars(found),
        "id": file.pk,
        "user": file.user_id,
        "attempt": file.attempt,
        "limit": limit,
        "now": now,
    }
    return _changed([LOCK_SQL, FINISH_SQL], values, file.user_id)


def _changed(statements: list[str], values: dict[str, Any], user_id: uuid.UUID) -> bool:
    lock = lock_name(Lock.FILE_SPACE, str(user_id))
    *_, changed = execute_pipeline(statements, {**values, "lock": lock})
    return bool(changed.fetchall())

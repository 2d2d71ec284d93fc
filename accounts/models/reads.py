"""The read of each authenticated request: session and user in one query."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from accounts.models.sessions import Session
from gemchat.stores.statements import CompiledQuery, fetch


@dataclass(slots=True)
class FirstRead:
    """The first value of a user in a view; `%(user)s` is the user.

    The token names the user, so the query of the session reads the value too. `value` is set only
    for a user with an active session.
    """

    statement: str
    values: Mapping[str, Any]
    value: Any = None


def find_active_session(
    *, session_id: uuid.UUID, user_id: uuid.UUID, first_read: FirstRead | None = None
) -> Session | None:
    """Find an active session with its active user; set the value of `first_read`."""
    active = _active_sessions()
    if first_read is None:
        return active.get_or_none([session_id, user_id])
    sessions = active.sql_with_names("session", "user")
    found = fetch(
        f"SELECT active.*, ({first_read.statement}) FROM ({sessions}) AS active",  # noqa: S608
        {**first_read.values, "session": session_id, "user": user_id},
    )
    if not found:
        return None
    [(*row, first_read.value)] = found
    return active.from_row(row)


@cache
def _active_sessions() -> CompiledQuery[Session]:
    active = Session.objects.select_related("user").filter(
        pk=uuid.UUID(int=1), user=uuid.UUID(int=2), user__is_active=True, revoked_at=None
    )
    return CompiledQuery(active, "user")

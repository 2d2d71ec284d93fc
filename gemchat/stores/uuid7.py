"""Ids of version 7 (RFC 9562), sorted by time.

A range of time is a range of ids.
"""

import uuid
from datetime import datetime

from uuid_utils.compat import uuid7


def uuid7_at(at: datetime, *, salt: int = 0) -> uuid.UUID:
    """48 bits of milliseconds, the version, the variant, and `salt` for the rest.

    Without a salt the id is the first id of the millisecond.
    """
    milliseconds = int(at.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | salt & ((1 << 62) - 1))


def uuid7_after(earlier: uuid.UUID | None) -> uuid.UUID:
    """Return a new id, sorted after `earlier`.

    The clock of the machine that made `earlier` may be ahead of the clock here.
    """
    made = uuid7()
    if earlier is None or made > earlier:
        return made
    milliseconds = (earlier.int >> 80) + 1
    return uuid.UUID(int=milliseconds << 80 | made.int & ((1 << 80) - 1))

"""Ids of version 7 (RFC 9562), sorted by time.

A range of time is a range of ids.
"""

import uuid
from datetime import datetime


def uuid7_at(at: datetime, *, salt: int = 0) -> uuid.UUID:
    """48 bits of milliseconds, the version, the variant, and `salt` for the rest.

    Without a salt the id is the first id of the millisecond.
    """
    milliseconds = int(at.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | salt & ((1 << 62) - 1))

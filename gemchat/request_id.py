"""The id of the request being served: in answers, in log lines, and along into Celery tasks."""

import re
from contextvars import ContextVar

from uuid_utils.compat import uuid7

request_id: ContextVar[str] = ContextVar("request_id", default="-")
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_or_accepted(candidate: str) -> str:
    """The caller's id where it is 1 to 64 of `[A-Za-z0-9._-]`, else a new one."""
    return candidate if ACCEPTED.fullmatch(candidate) else str(uuid7())

"""The ids of the request being served: this program's own, and the caller's where it sent one.

The own id is in log lines, in the audit and along into Celery tasks: a caller must not choose what
these are found by, or give two requests one id. The caller's id is in the answer, and in log lines
beside the own id.
"""

import re
from contextvars import ContextVar, Token

from uuid_utils.compat import uuid7

request_id: ContextVar[str] = ContextVar("request_id", default="-")
client_request_id: ContextVar[str] = ContextVar("client_request_id", default="")
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")

Tokens = tuple[Token[str], Token[str]]


def begin_request(candidate: str) -> Tokens:
    """Make the id of a request, and note the caller's if it is 1 to 64 of `[A-Za-z0-9._-]`."""
    accepted = candidate if candidate and ACCEPTED.fullmatch(candidate) else ""
    return request_id.set(str(uuid7())), client_request_id.set(accepted)


def end_request(tokens: Tokens) -> None:
    """Restore the ids from before `begin_request`."""
    own, client = tokens
    request_id.reset(own)
    client_request_id.reset(client)


def answer_id() -> str:
    """The id that the answer shows: the caller's, else the own one."""
    return client_request_id.get() or request_id.get()

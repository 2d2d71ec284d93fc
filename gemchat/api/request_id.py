"""The ids of the current request: the program's id, and the caller's id.

A caller may send no id. The program's id is in log lines, in the audit log and in Celery tasks. A
caller must not choose the program's id, or give two requests the same id. The caller's id is in the
answer, and in log lines beside the program's id.
"""

import re
from contextvars import ContextVar, Token

from uuid_utils.compat import uuid7

request_id: ContextVar[str] = ContextVar("request_id", default="-")
client_request_id: ContextVar[str] = ContextVar("client_request_id", default="")
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")

Tokens = tuple[Token[str], Token[str]]


def begin_request(candidate: str) -> Tokens:
    """Make the id of a request; use a valid id of the caller.

    A valid id has 1 to 64 of `[A-Za-z0-9._-]`.
    """
    accepted = candidate if candidate and ACCEPTED.fullmatch(candidate) else ""
    return request_id.set(str(uuid7())), client_request_id.set(accepted)


def end_request(tokens: Tokens) -> None:
    """Restore the ids from before `begin_request`."""
    own, client = tokens
    request_id.reset(own)
    client_request_id.reset(client)


def answer_id() -> str:
    """Return the id for the answer: the caller's, else the program's."""
    return client_request_id.get() or request_id.get()

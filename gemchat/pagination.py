"""Cursor paging: opaque signed cursors, `limit` from 1 to 100."""

from typing import Any

from django.core import signing
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request

DEFAULT_LIMIT = 50
MAX_LIMIT = 100


def page_limit(request: Request) -> int:
    """`limit` of the query: 50 if left out, at most 100; 422 for what is no whole number >= 1."""
    given = request.query_params.get("limit", str(DEFAULT_LIMIT))
    digits = given.lstrip("0")
    if not (given.isascii() and given.isdigit() and digits):
        raise ValidationError({"limit": "Give a whole number from 1 to 100."})
    # However many digits there are, no more than these are read.
    return MAX_LIMIT if len(digits) > len(str(MAX_LIMIT)) else min(int(digits), MAX_LIMIT)


def sign_cursor(position: Any, *, salt: str) -> str:
    """An opaque cursor for a JSON value; `salt` names the list that it is good for."""
    return signing.dumps(position, salt=salt, compress=True)


def read_cursor(cursor: str, *, salt: str) -> Any:
    """The position in a cursor made by `sign_cursor`; 400 for any other string."""
    try:
        return signing.loads(cursor, salt=salt)
    except signing.BadSignature as error:
        raise ParseError("This cursor is not one that was given out.", "invalid_cursor") from error

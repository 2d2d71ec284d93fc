"""Cursor paging: opaque signed cursors, `limit` from 1 to 100."""

from typing import Any
from urllib.parse import urlencode

from django.core import signing
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request

DEFAULT_LIMIT = 50
MAX_LIMIT = 100


def page_limit(request: Request) -> int:
    """Read `limit` of the query: default 50, at most 100.

    Raises 422 unless the limit is a whole number >= 1.
    """
    return positive_int_param(request, "limit", default=DEFAULT_LIMIT, most=MAX_LIMIT, clamps=True)


def positive_int_param(
    request: Request, name: str, *, default: int, most: int, clamps: bool = False
) -> int:
    """Read a whole number from 1 to `most`; 422 for any other value.

    With `clamps`, a larger number counts as `most`.
    """
    given = request.query_params.get(name, str(default))
    digits = given.lstrip("0")
    if given.isascii() and given.isdigit() and digits:
        # Python rejects numbers of thousands of digits; 18 digits are enough to compare.
        number = int(digits[:18])
        if clamps or number <= most:
            return min(number, most)
    raise ValidationError({name: f"Give a whole number from 1 to {most}."})


def next_link(request: Request, cursor: str) -> str:
    """Make the `Link` header to the page after the cursor."""
    query = urlencode({**request.query_params.dict(), "cursor": cursor})
    # Django's `build_absolute_uri` would parse the URL again.
    url = f"{request.scheme}://{request.get_host()}{request.path}?{query}"
    return f'<{url}>; rel="next"'


def sign_cursor(position: Any, *, salt: str) -> str:
    """Make an opaque cursor of a JSON value; `salt` names the list of the cursor."""
    return signing.dumps(position, salt=salt, compress=True)


def read_cursor(cursor: str, *, salt: str) -> Any:
    """Read the position of a cursor from `sign_cursor`; 400 for any other string."""
    try:
        return signing.loads(cursor, salt=salt)
    except signing.BadSignature as error:
        raise ParseError("This cursor is not one that was given out.", "invalid_cursor") from error

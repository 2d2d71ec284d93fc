"""JSON as the API takes it."""

import json
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser

# The API's own bodies have one level.
MOST_LEVELS = 32
# What PostgreSQL cannot keep, and what is no text: half of a surrogate pair, as "\ud800".
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def body_limit(view: Any) -> int:
    """Return how many bytes a body may have, for a view function or an instance of an APIView.

    A view that needs another limit than MAX_BODY_BYTES sets `max_body_bytes`: as an attribute of
    its class or function, or as an argument of `@action`.
    """
    of_action = getattr(view, "initkwargs", {}).get("max_body_bytes")
    of_view = getattr(getattr(view, "cls", view), "max_body_bytes", None)
    return of_action or of_view or settings.MAX_BODY_BYTES


class StrictJSONParser(BaseParser):
    """JSON in UTF-8 as RFC 8259 has it: no NaN, no name twice, no deep nesting; 400 otherwise.

    A charset in Content-Type is not looked at: JSON has one. 422 for text that cannot be kept,
    wherever it stands, since an error message may quote it.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        # The web process answers this itself, before Django has the request; other servers not.
        limit = body_limit((parser_context or {}).get("view"))
        sent = stream.read(limit + 1)
        if len(sent) > limit:
            raise RequestDataTooBig
        try:
            body = json.loads(
                sent.decode(),
                parse_constant=_refuse_constant,
                object_pairs_hook=_with_unique_names,
            )
        # Python's own limits: RecursionError, and ValueError for an integer of 4,300 digits.
        except (RecursionError, ValueError) as error:
            reason = str(error) if isinstance(error, json.JSONDecodeError) else ""
            raise ParseError(f"The body is not JSON that can be read. {reason}".strip()) from error
        _check(body, field="", level=0)
        return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _with_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ on which of two equal names counts (RFC 8259, 4), so neither does."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return members


def _check(value: Any, *, field: str, level: int) -> None:
    """`field` is the value's place, its names joined by dots."""
    if level > MOST_LEVELS:
        raise ParseError("The body is nested too deep.")
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            message = "Null characters and single surrogates are not allowed."
            raise ValidationError({field or "non_field_errors": message}, "invalid_characters")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check(name, field=field, level=level)
            _check(inner, field=f"{field}.{name}" if field else name, level=level + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, field=field, level=level + 1)

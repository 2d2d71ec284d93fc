"""The media type of the API, JSON: negotiation and parser."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

# Accept of curl, requests, browsers' fetch, most SDKs and axios.
PLAIN_ACCEPT = frozenset({"*/*", "application/json", "application/json, text/plain, */*"})
# The API's own bodies have one level.
MOST_LEVELS = 32
# PostgreSQL cannot store NUL. A lone surrogate such as "\ud800" is not text.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def body_limit(view: Any) -> int:
    """Return the maximum bytes of a body, for a view function or an APIView instance.

    A view with another limit than MAX_BODY_BYTES sets `max_body_bytes`: as an attribute of the
    class or function, or as an argument of `@action`.
    """
    of_action = getattr(view, "initkwargs", {}).get("max_body_bytes")
    of_view = getattr(getattr(view, "cls", view), "max_body_bytes", None)
    return of_action or of_view or settings.MAX_BODY_BYTES


class JSONNegotiation(DefaultContentNegotiation):
    """DRF's negotiation, without its parsers for the headers of nearly all clients.

    Each view has one renderer. DRF takes 4 % of a read to find it.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        if request.META.get("HTTP_ACCEPT", "*/*") in PLAIN_ACCEPT:
            [renderer] = renderers
            return renderer, renderer.media_type
        return super().select_renderer(request, renderers, format_suffix)


class StrictJSONParser(BaseParser):
    """Parses JSON in UTF-8 by RFC 8259, with 400 for a fault.

    NaN, a duplicate name and deep nesting are faults. A charset in Content-Type is ignored: JSON
    has only one. Text outside the database's range is 422 in any field, since an error message may
    quote the field.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        # The web process checks the limit before Django has the request; other servers do not.
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
        # Python's limits: RecursionError, and ValueError for an integer of 4,300 digits.
        except (RecursionError, ValueError) as error:
            reason = str(error) if isinstance(error, json.JSONDecodeError) else ""
            raise ParseError(f"The body is not JSON that can be read. {reason}".strip()) from error
        _check(body, field="", level=0)
        return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _with_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Reject a duplicate name: parsers take different values of the two (RFC 8259, 4)."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return members


def _check(value: Any, *, field: str, level: int) -> None:
    """`field` is the path of the value: the names joined by dots."""
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

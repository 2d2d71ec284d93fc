"""Descriptions of the API's calls, as OpenAPI 3.1 by drf-spectacular.

Each app describes in `schema.py`, by `call`, the input and the answers of the app's calls.
`dev.openapi` joins the descriptions into docs/openapi.json. Only `dev.openapi` loads the schema
modules: the program serves the file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drf_spectacular.drainage import isolate_view_method
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.views import APIView

from gemchat.api.errors import DomainError, title_of
from gemchat.api.text import LINE, OneLine

Problem = str | type[DomainError]

UUID_SCHEMA = {"type": "string", "format": "uuid"}
DAY_AFTER = "2026-11-24T00:00:00Z"
QUOTA_HEADERS = ("X-Quota-Limit", "X-Quota-Remaining", "X-Quota-Reset")


@dataclass(frozen=True)
class Call:
    """Additions of `gemchat.api.openapi.hooks` to an operation, stored in `x-call`."""

    problems: list[Problem] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    is_public: bool = False
    is_plain: bool = False
    takes_key: bool = False


def call(
    operation_id: str,
    summary: str,
    *,
    answers: Mapping[int | tuple[int, str], Any],
    body: Any = None,
    description: str = "",
    parameters: Iterable[OpenApiParameter] = (),
    problems: Iterable[Problem] = (),
    headers: Iterable[str] = (),
    is_public: bool = False,
    is_plain: bool = False,
    takes_key: bool = False,
) -> Callable[[Any], Any]:
    """Describe a call.

    `body` and each answer are pairs: a serializer or schema, and an example. Answers are by status,
    or by status and media type. `problems` are the problems beyond the common problems of such
    calls: raised classes, or codes of common problems. `is_plain` is for views without negotiation
    of a media type and without a parsed body.
    """
    described = Call(list(problems), list(headers), is_public, is_plain, takes_key)
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=description,
        parameters=list(parameters),
        request=None if body is None else body[0],
        examples=[] if body is None else [OpenApiExample("Example", body[1], request_only=True)],
        responses=dict(_response(status, answer) for status, answer in answers.items()),
        auth=[],
        extensions={"x-call": described},
    )


def describe(view: type[APIView], **calls: Callable[[Any], Any]) -> None:
    """Describe methods of a view, each by a `call`."""
    for name, described in calls.items():
        described(isolate_view_method(view, name))


def _response(key: int | tuple[int, str], answer: Any) -> tuple[Any, Any]:
    status = key if isinstance(key, int) else key[0]
    phrase = title_of(status)
    if answer is None:
        return key, OpenApiResponse(description=phrase)
    schema, value = answer
    examples = [OpenApiExample("Example", value, response_only=True)]
    return key, OpenApiResponse(schema, description=phrase, examples=examples)


def action(name: str, answered: Any = None) -> Any:
    """The answer of an action: `data` is of a serializer, or null."""
    fields = {
        "success": Constant(True),
        "message": serializers.CharField(),
        "data": Constant(None) if answered is None else answered,
    }
    return inline_serializer(name, fields)


class TextFieldSchema(OpenApiSerializerFieldExtension):
    """A pattern for the rules of DRF and the parser on a string."""

    target_class = "gemchat.api.fields.TextField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        text = self.target
        if direction == "response":
            return {"type": "string"}
        refused = "\\u0000"
        if any(isinstance(each, OneLine) for each in text.validators):
            # White space around the line is trimmed.
            blank = "[\\s\\u001c-\\u001f]*"
            pattern = (
                f"^{blank}(?:{LINE}{blank})?$" if text.allow_blank else f"^{blank}{LINE}{blank}$"
            )
        elif text.allow_blank or not text.trim_whitespace:
            pattern = f"^[^{refused}]*$"
        else:
            # Blanks of Python's `strip`, as the field is trimmed.
            pattern = f"^[^{refused}]*[^{refused}\\s\\u001c-\\u001f][^{refused}]*$"
        shortest = {} if text.allow_blank else {"minLength": 1}
        return {"type": "string", **shortest, "pattern": pattern}


class Constant(serializers.Field[Any, Any, Any, Any]):
    """A member with a constant value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._spectacular_annotation = {"field": {"const": value}}


def query(name: str, schema: dict[str, Any], description: str = "") -> OpenApiParameter:
    return OpenApiParameter(name, schema, "query", description=description)


def placeholder_view(method: str, described: Callable[[Any], Any]) -> Any:
    """For the description alone: a DRF view in place of another kind of view."""

    def answer(self: APIView, request: Any, **captured: str) -> None:
        """Never called."""

    view: Any = type("StandIn", (APIView,), {method: described(answer)})
    return view.as_view()

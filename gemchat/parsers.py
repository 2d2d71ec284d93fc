"""JSON as the API takes it."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """DRF's parser, with 400 also where Python's own limits stop it.

    Nesting beyond the recursion limit raises RecursionError, an integer of over 4,300 digits
    ValueError, and a body that is not UTF-8 UnicodeDecodeError.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except (RecursionError, ValueError) as error:
            raise ParseError("The body is not JSON that can be read.") from error

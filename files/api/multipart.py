"""The one part `file` of a multipart form, taken from a received body."""

import re
from typing import IO, Any, cast

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError

from files.api.names import safe_name

FIELD = "file"
# The heads of parts and the boundaries, besides the file.
MULTIPART_OVERHEAD = 8 * 1024
BOUNDARY = re.compile(r"[ -~]{1,200}")


class PartHandler(FileUploadHandler):
    """Writes the first part `file` to a file, and drops other parts."""

    def __init__(self, part: IO[bytes]) -> None:
        super().__init__()
        self._part = part
        self.name: str | None = None
        self._is_wanted = False

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, *args, **kwargs)
        self._is_wanted = field_name == FIELD and self.name is None
        if self._is_wanted:
            self.name = self.file_name or ""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self._is_wanted:
            self._part.write(raw_data)

    def file_complete(self, file_size: int) -> None:
        return None


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a multipart form; None for another type. Raises ParseError."""
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    try:
        _, parameters = parse_header_parameters(content_type)
    except (ValueError, LookupError) as error:
        raise ParseError("The Content-Type is malformed.") from error
    boundary = parameters.get("boundary", "")
    if not BOUNDARY.fullmatch(boundary):
        raise ParseError("The multipart form has no boundary.")
    return boundary.encode()


def extract_part(raw: IO[Any], *, boundary: bytes, part: IO[bytes]) -> str:
    """Write the part `file` to `part`, and return its safe name. Raises ParseError, InvalidName."""
    length = raw.seek(0, 2)
    raw.seek(0)
    headers = {
        "CONTENT_TYPE": f"multipart/form-data; boundary={boundary.decode()}",
        "CONTENT_LENGTH": length,
    }
    handler = PartHandler(part)
    try:
        MultiPartParser(headers, cast(Any, raw), [handler], "utf-8").parse()
    except (MultiPartParserError, RequestDataTooBig, SuspiciousOperation, StopUpload) as error:
        raise ParseError("The multipart form is malformed.") from error
    if handler.name is None:
        raise ParseError('The multipart form has no part "file".')
    return safe_name(handler.name)

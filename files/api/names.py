"""Names of files: safe in headers, in paths and on pages."""

import re
import unicodedata
from contextlib import suppress

from django.utils.http import parse_header_parameters

from gemchat.api.errors import DomainError

LONGEST_NAME = 255
SEPARATORS = re.compile(r"[/\\]")
# Control characters, line ends, surrogates, and characters that change the direction of writing.
UNSAFE = re.compile(
    "[:\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


class InvalidName(DomainError):
    code = "file_name"
    message = (
        "Name the file in 1 to 255 characters, as by"
        " Content-Disposition: attachment; filename*=UTF-8''report.pdf"
    )
    status = 422


def name_of_header(disposition: str) -> str:
    """Return the safe name in a Content-Disposition header. Raises InvalidName."""
    # Headers are Latin-1 for Django; clients such as curl send UTF-8.
    with suppress(UnicodeError):
        disposition = disposition.encode("latin-1").decode()
    try:
        _, parameters = parse_header_parameters(disposition)
    except (ValueError, LookupError) as error:
        raise InvalidName from error
    return safe_name(parameters.get("filename", ""))


def safe_name(given: str) -> str:
    """Return the last segment of a path, without unsafe characters. Raises InvalidName."""
    name = unicodedata.normalize("NFC", SEPARATORS.split(given)[-1])
    name = UNSAFE.sub("_", name).strip()
    if not 0 < len(name) <= LONGEST_NAME or name in (".", ".."):
        raise InvalidName
    return name

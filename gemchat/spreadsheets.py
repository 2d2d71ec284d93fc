"""CSV that a spreadsheet shows as text, whatever people have written into it."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

# What makes spreadsheets take a cell for a formula, also as a full-width character:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def inert(value: Any) -> str:
    """The value as text; one that could be a formula begins with an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


class _Line:
    """What csv writes into; it hands each line on."""

    def write(self, line: str) -> bytes:
        return line.encode("utf-8", "replace")


def lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    # All in quotes: a semicolon begins a new cell in some countries' spreadsheets.
    writer = csv.writer(_Line(), quoting=csv.QUOTE_ALL)
    yield b"\xef\xbb\xbf"  # tells spreadsheets that it is UTF-8
    yield writer.writerow([inert(head) for head in heads])
    for row in rows:
        yield writer.writerow([inert(value) for value in row])


def csv_download(
    name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """A file of that name, sent while the rows are read."""
    response = StreamingHttpResponse(lines(heads, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store"
    return response

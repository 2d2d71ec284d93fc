"""CSV that a spreadsheet shows as text, whatever people have written into it."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

# What makes spreadsheets take a cell for a formula, also as a full-width character and behind a
# blank or an invisible one:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = frozenset("=+-@")
BREAKS = ("\t", "\r", "\n")
# Of what is not to be seen, though its category is that of a letter or a symbol.
BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def escape_formula(value: Any) -> str:
    """The value as text; one that could be a formula begins with an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if _begins_formula(text) else text


def _begins_formula(text: str) -> bool:
    """Whether the first visible character could; some programs pass over those before."""
    if text.startswith(BREAKS):
        return True
    for character in text:
        category = unicodedata.category(character)
        is_seen = category[0] not in "CZ" and category != "Mn"
        if is_seen and character not in BLANK_LETTERS:
            # NFKC has one form for full-width, small and raised ones.
            return unicodedata.normalize("NFKC", character) in FORMULA_STARTS
    return False


class _Line:
    """What csv writes into; it hands each line on."""

    def write(self, line: str) -> bytes:
        return line.encode("utf-8", "replace")


def lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    # All in quotes: a semicolon begins a new cell in some countries' spreadsheets.
    writer = csv.writer(_Line(), quoting=csv.QUOTE_ALL)
    yield b"\xef\xbb\xbf"  # tells spreadsheets that it is UTF-8
    yield writer.writerow([escape_formula(head) for head in heads])
    for row in rows:
        yield writer.writerow([escape_formula(value) for value in row])


def csv_download(
    name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """A file of that name, sent while the rows are read."""
    response = StreamingHttpResponse(lines(heads, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store"
    return response

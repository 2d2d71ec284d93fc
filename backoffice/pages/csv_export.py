"""CSV files without formulas for spreadsheets."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

# Spreadsheets take a cell for a formula after these characters, also full-width ones, and behind
# blank or invisible characters:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = frozenset("=+-@")
BREAKS = ("\t", "\r", "\n")
# Invisible characters in the categories of letters and symbols.
BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def escape_formula(value: Any) -> str:
    """Return the value as text; a possible formula gets an apostrophe in front."""
    text = "" if value is None else str(value)
    return f"'{text}" if _begins_formula(text) else text


def _begins_formula(text: str) -> bool:
    """Check the first visible character; some programs skip invisible characters."""
    if text.startswith(BREAKS):
        return True
    for character in text:
        category = unicodedata.category(character)
        is_seen = category[0] not in "CZ" and category != "Mn"
        if is_seen and character not in BLANK_LETTERS:
            # NFKC has one form for full-width, small and raised characters.
            return unicodedata.normalize("NFKC", character) in FORMULA_STARTS
    return False


class _Line:
    """A file for the csv module: returns each line."""

    def write(self, line: str) -> bytes:
        return line.encode("utf-8", "replace")


def lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    # Quotes around all cells: a semicolon starts a new cell in some countries' spreadsheets.
    writer = csv.writer(_Line(), quoting=csv.QUOTE_ALL)
    yield b"\xef\xbb\xbf"  # marks UTF-8 for spreadsheets
    yield writer.writerow([escape_formula(head) for head in heads])
    for row in rows:
        yield writer.writerow([escape_formula(value) for value in row])


def csv_download(
    name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Stream a file of this name while the rows are read."""
    response = StreamingHttpResponse(lines(heads, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store"
    return response

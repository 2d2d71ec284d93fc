"""Rules for text from people, and the format of times."""

import re
from datetime import datetime

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible

# An id in the paths of the API.
UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"

# Overrides, embeddings and isolates: such characters can make a title read as another text.
BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")


# Control characters, line breaks, and characters without width or meaning in a line. Escaped, since
# openapi.json has the characters in a pattern.
UNFIT = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u200b\u200e\u200f"
    r"\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff"
)
# Zero-width joiner and non-joiner: Indic scripts and emoji need both, within a word.
JOINERS = r"\u200c\u200d"
BLANKS = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
WORD = rf"[^{UNFIT}{JOINERS}\s]+(?:[{JOINERS}][^{UNFIT}{JOINERS}\s]+)*"
LINE = rf"{WORD}(?:[{BLANKS}]+{WORD})*"
WHOLE_LINE = re.compile(LINE)


@deconstructible
class OneLine:
    """Validates titles and names. (DRF's CharField rejects NUL and lone surrogates.)"""

    def __call__(self, value: str) -> None:
        if BIDI_CONTROLS.search(value):
            raise ValidationError(
                "Characters that change the direction of writing are not allowed.",
                code="bidi_control",
            )
        # DRF has trimmed the value, or rejects the value as blank.
        if value and not WHOLE_LINE.fullmatch(value):
            raise ValidationError(
                "Line breaks, control characters and invisible characters are not allowed.",
                code="control_character",
            )


def rfc3339(at: datetime | str) -> str:
    """Format a time in UTC as DRF's field does, ending in `Z`.

    Text is returned unchanged.
    """
    return at if isinstance(at, str) else at.isoformat().replace("+00:00", "Z")

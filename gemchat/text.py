"""Rules for text that people send, and times as they are told."""

import re
from datetime import datetime

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible

# Overrides, embeddings and isolates: they can make a title read as something else.
BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")


@deconstructible
class NoBidiControls:
    """For titles and names. (NUL and lone surrogates are refused by DRF's CharField.)"""

    def __call__(self, value: str) -> None:
        if BIDI_CONTROLS.search(value):
            raise ValidationError(
                "Characters that change the direction of writing are not allowed.",
                code="bidi_control",
            )


def as_rfc3339(at: datetime | str) -> str:
    """A time in UTC as DRF's own field gives it, ending in `Z`. Text is one already."""
    return at if isinstance(at, str) else at.isoformat().replace("+00:00", "Z")

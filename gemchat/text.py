"""Rules for text that people send."""

import re

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

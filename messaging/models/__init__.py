"""The tables of conversations: messages, and the models of Gemini that answer."""

from messaging.models.gemini_models import GeminiModel
from messaging.models.messages import (
    ERROR_CODES,
    INTERNAL,
    UNDER_WAY,
    Claimed,
    Message,
    MessageQuerySet,
    resend_after,
)

__all__ = [
    "ERROR_CODES",
    "INTERNAL",
    "UNDER_WAY",
    "Claimed",
    "GeminiModel",
    "Message",
    "MessageQuerySet",
    "resend_after",
]

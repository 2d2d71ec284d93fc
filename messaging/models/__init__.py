"""The tables of conversations: messages, and the models of Gemini that answer."""

from messaging.models.gemini_models import GeminiModel
from messaging.models.messages import (
    DATABASE_LOST,
    ERROR_CODES,
    INTERNAL,
    UNDER_WAY,
    Message,
    MessageQuerySet,
    resend_after,
)

__all__ = [
    "DATABASE_LOST",
    "ERROR_CODES",
    "INTERNAL",
    "UNDER_WAY",
    "GeminiModel",
    "Message",
    "MessageQuerySet",
    "resend_after",
]

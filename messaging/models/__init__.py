"""The tables of conversations: messages, and the models of Gemini that answer."""

from messaging.models.gemini_models import GeminiModel
from messaging.models.messages import (
    ACTIVE_STATUSES,
    ERROR_CODES,
    INTERNAL,
    Message,
    MessageQuerySet,
    resend_after,
)

__all__ = [
    "ERROR_CODES",
    "INTERNAL",
    "ACTIVE_STATUSES",
    "GeminiModel",
    "Message",
    "MessageQuerySet",
    "resend_after",
]

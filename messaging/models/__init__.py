"""The tables of conversations: messages, and Gemini's models."""

from messaging.models.gemini_models import GeminiModel, ModelPrice
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
    "ModelPrice",
    "resend_after",
]

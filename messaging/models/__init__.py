"""The tables of conversations: messages, and Gemini's models."""

from messaging.models.gemini_models import GeminiModel, ModelPrice
from messaging.models.messages import (
    ACTIVE_STATUSES,
    ERROR_CODES,
    INTERNAL,
    Message,
    MessageQuerySet,
    Waiting,
    resend_after,
    waiting_of,
)

__all__ = [
    "ERROR_CODES",
    "INTERNAL",
    "ACTIVE_STATUSES",
    "GeminiModel",
    "Message",
    "MessageQuerySet",
    "ModelPrice",
    "Waiting",
    "resend_after",
    "waiting_of",
]

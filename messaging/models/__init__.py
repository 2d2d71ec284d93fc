"""The tables of conversations: messages, and Gemini's models."""

from messaging.models.gemini_copies import GeminiCopy
from messaging.models.gemini_models import GeminiModel, ModelPrice
from messaging.models.message_files import MessageFile
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
from messaging.models.model_findings import Findings, ModelFinding, compare

__all__ = [
    "ERROR_CODES",
    "INTERNAL",
    "ACTIVE_STATUSES",
    "Findings",
    "GeminiModel",
    "GeminiCopy",
    "Message",
    "MessageFile",
    "MessageQuerySet",
    "ModelFinding",
    "ModelPrice",
    "Waiting",
    "compare",
    "resend_after",
    "waiting_of",
]

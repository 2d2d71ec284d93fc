"""The tables of conversations: messages, and Gemini's models."""

from messaging.models.gemini_models import GeminiModel, ModelPrice
from messaging.models.gemini_uploads import GeminiUpload
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
from messaging.models.parts import MessageFile

__all__ = [
    "ERROR_CODES",
    "INTERNAL",
    "ACTIVE_STATUSES",
    "Findings",
    "GeminiModel",
    "GeminiUpload",
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

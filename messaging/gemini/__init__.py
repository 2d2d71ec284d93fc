"""Gemini behind one function: `stream_reply` retries, has deadlines and can be stopped.

`GEMINI_BACKEND` names the backend that answers, or gives its dotted path.
"""

from messaging.gemini.base import (
    Backend,
    Cancellation,
    Cancelled,
    Completion,
    Content,
    Delta,
    FileDataPart,
    GeminiError,
    InlineDataPart,
    OnDelta,
    Part,
    Request,
    TextDelta,
    TextPart,
    Usage,
)
from messaging.gemini.retries import Retries, get_backend, stream_reply

__all__ = [
    "Backend",
    "Cancellation",
    "Cancelled",
    "Content",
    "Delta",
    "Completion",
    "FileDataPart",
    "GeminiError",
    "InlineDataPart",
    "OnDelta",
    "Part",
    "Request",
    "Retries",
    "TextDelta",
    "TextPart",
    "Usage",
    "get_backend",
    "stream_reply",
]

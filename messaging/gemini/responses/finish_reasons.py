"""The finish reasons of Gemini, each with the outcome of the answer.

https://ai.google.dev/api/generate-content#FinishReason
"""

from enum import StrEnum


class Outcome(StrEnum):
    """The end of an answer with text; without text most answers are `empty`."""

    STOP = "stop"
    MAX_TOKENS = "max_tokens"
    # Whole as far as the program knows, without a known reason.
    OTHER = "other"
    BLOCKED = "blocked"
    # The text is no whole answer, and the user has no part in the failure.
    BROKEN = "broken"
    UNFINISHED = "unfinished"


# A test compares the table with the enums of both SDKs.
OUTCOMES = {
    "FINISH_REASON_UNSPECIFIED": Outcome.UNFINISHED,
    "STOP": Outcome.STOP,
    "MAX_TOKENS": Outcome.MAX_TOKENS,
    # The answer is longer than Gemini generates for one request.
    "CONTINUATION": Outcome.MAX_TOKENS,
    "SAFETY": Outcome.BLOCKED,
    "RECITATION": Outcome.BLOCKED,
    "LANGUAGE": Outcome.BLOCKED,
    "BLOCKLIST": Outcome.BLOCKED,
    "PROHIBITED_CONTENT": Outcome.BLOCKED,
    "SPII": Outcome.BLOCKED,
    "MODEL_ARMOR": Outcome.BLOCKED,
    "IMAGE_SAFETY": Outcome.BLOCKED,
    "IMAGE_PROHIBITED_CONTENT": Outcome.BLOCKED,
    "IMAGE_RECITATION": Outcome.BLOCKED,
    "MALFORMED_FUNCTION_CALL": Outcome.BROKEN,
    "MALFORMED_RESPONSE": Outcome.BROKEN,
    "UNEXPECTED_TOOL_CALL": Outcome.BROKEN,
    "TOO_MANY_TOOL_CALLS": Outcome.BROKEN,
    "MISSING_THOUGHT_SIGNATURE": Outcome.BROKEN,
    "OTHER": Outcome.OTHER,
    "IMAGE_OTHER": Outcome.OTHER,
    "NO_IMAGE": Outcome.OTHER,
    "ESCALATION": Outcome.OTHER,
    "PUP_LIMITED_DISABLED": Outcome.OTHER,
}


def outcome_for(finish_reason: str) -> Outcome:
    """Return the outcome for a reason; an unknown reason is `other`, no reason `unfinished`."""
    if not finish_reason:
        return Outcome.UNFINISHED
    return OUTCOMES.get(finish_reason, Outcome.OTHER)

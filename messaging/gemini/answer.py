"""Collect a streamed answer of Gemini into text and a `Completion`, for both SDKs."""

from dataclasses import dataclass

from messaging.gemini.base import (
    Cancellation,
    Cancelled,
    Completion,
    GeminiError,
    OnDelta,
    Request,
    TextDelta,
    Usage,
)
from messaging.gemini.failures import unavailable

# https://ai.google.dev/api/generate-content#FinishReason
_BLOCKED = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"}
)
_FINISHED = {"STOP": "stop", "MAX_TOKENS": "max_tokens"}
BYTES_PER_TOKEN = 4
LONGEST_CODE = 40


@dataclass(frozen=True, slots=True)
class Chunk:
    """A message of the stream, free of SDK types. `text` is without the model's thoughts.

    `finish_reason` and `block_reason` are Google's names, or empty.
    """

    text: str = ""
    finish_reason: str = ""
    block_reason: str = ""
    usage: Usage | None = None
    model_version: str = ""


class StreamAccumulator:
    """An answer while chunks come in; the text of each chunk goes to `on_delta`."""

    def __init__(self, request: Request, on_delta: OnDelta) -> None:
        self._on_delta = on_delta
        self._request = request
        self._reported: Usage | None = None
        self._is_geminis = False
        self._text_bytes = 0
        self._finish_reason = ""
        self._block_reason = ""
        self._model_version = ""

    def add(self, chunk: Chunk) -> None:
        self._is_geminis = self._is_geminis or chunk != Chunk()
        self._text_bytes += len(chunk.text.encode(errors="replace"))
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._block_reason = chunk.block_reason or self._block_reason
        self._model_version = chunk.model_version or self._model_version
        self._reported = chunk.usage or self._reported
        self._on_delta(TextDelta(chunk.text))

    def end(self, failed: GeminiError | None, cancelled: Cancellation) -> Completion:
        """Return the end of the answer; raises GeminiError or Cancelled.

        After text each failure is `interrupted`. After a finish reason there is no failure: the
        answer is whole, and only the end of the connection went wrong.
        """
        if cancelled.is_set and not (self._finish_reason or self._block_reason):
            # Gemini has the request, and may have read the whole request.
            raise Cancelled(cancelled.reason, usage=self._usage, model_version=self._model_version)
        error = self._failure(failed)
        if error is not None:
            error.usage = self._cost
            error.model_version = self._model_version
            if not error.provider_code:
                error.provider_code = (self._block_reason or self._finish_reason)[:LONGEST_CODE]
            raise error
        return Completion(
            _FINISHED.get(self._finish_reason, "other"),
            self._usage,
            self._model_version or self._request.model,
        )

    def _failure(self, failed: GeminiError | None) -> GeminiError | None:
        if self._block_reason:
            return GeminiError(
                "blocked", "Gemini's safety filters blocked the prompt. Word it differently."
            )
        if self._finish_reason in _BLOCKED:
            return GeminiError(
                "blocked",
                "Gemini's safety filters ended the answer. Word the prompt differently.",
            )
        if not self._text_bytes:
            return self._failure_without_text(failed)
        if self._finish_reason:
            return None
        return GeminiError(
            "interrupted", "The answer broke off before its end. Regenerate it to get a whole one."
        )

    def _failure_without_text(self, failed: GeminiError | None) -> GeminiError:
        if failed is not None:
            return failed
        if not self._is_geminis:
            return unavailable()
        if self._finish_reason == "MAX_TOKENS":
            return GeminiError(
                "empty",
                "Gemini used up its answer's length on thinking. Ask for something smaller.",
            )
        return GeminiError("empty", "Gemini sent an answer without text. Try again.")

    @property
    def _cost(self) -> Usage | None:
        """Usage of an incomplete answer; None where Gemini refused to answer or sent nothing."""
        return self._usage if self._is_geminis else None

    @property
    def _usage(self) -> Usage:
        """Reported usage; without a report, four bytes of text count as a token."""
        if self._reported is not None:
            return self._reported
        sent = [self._request.system, *(content.text for content in self._request.contents)]
        return Usage(
            prompt_tokens=sum(len(text.encode()) for text in sent) // BYTES_PER_TOKEN,
            output_tokens=-(-self._text_bytes // BYTES_PER_TOKEN),
            cached_tokens=0,
            thinking_tokens=0,
            estimated=True,
        )

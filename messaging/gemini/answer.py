"""Collect a streamed answer of Gemini into text and a `Completion`, for both SDKs."""

from collections.abc import Iterable, Mapping
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
from messaging.gemini.failures import unreadable
from messaging.gemini.responses.finish_reasons import Outcome, outcome_for
from messaging.gemini.responses.messages import IMPOSSIBLE_QUERY, MOST_QUERIES

BYTES_PER_TOKEN = 4
# A hundred context windows: a larger figure is a fault, and may not fit the column.
MOST_TOKENS = 100_000_000
# The longest answer of any model, 65,536 tokens, at 16 bytes a token.
MOST_TEXT_BYTES = 1_048_576
# The columns for the model version and for the provider's code.
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """A message of the stream, free of SDK types. `text` is without the model's thoughts.

    `finish_reason` and `block_reason` are Google's names, or empty. `usage` has figures by the
    field names of `Usage`, as Gemini sent the figures; None means not reported. `search_queries`
    are texts: a chunk may repeat the queries of an earlier chunk. With a `continuation_token`
    another request continues the answer.
    """

    text: str = ""
    finish_reason: str = ""
    block_reason: str = ""
    usage: Mapping[str, object] | None = None
    search_queries: tuple[str, ...] = ()
    model_version: str = ""
    continuation_token: bytes = b""


class ReportedTokens:
    """The tokens reported for an answer: of each figure, the largest of all reports counts.

    Each distinct query counts, as Google bills queries. An impossible figure counts as not
    reported.
    """

    def __init__(self) -> None:
        self._largest: dict[str, int] = {}
        self._impossible: set[str] = set()
        self._queries: set[str] = set()

    def add(self, figures: Mapping[str, object]) -> None:
        for name, figure in figures.items():
            if isinstance(figure, int) and 0 <= figure <= MOST_TOKENS:
                self._largest[name] = max(figure, self._largest.get(name, 0))
            elif figure is not None:
                self._impossible.add(name)

    def add_queries(self, queries: Iterable[str]) -> None:
        together = self._queries.union(queries)
        if IMPOSSIBLE_QUERY in together or len(together) > MOST_QUERIES:
            self._impossible.add("search_queries")
        else:
            self._queries = together
            self._largest["search_queries"] = len(together)

    def usage(self, *, prompt_bytes: int, text_bytes: int, file_tokens: int = 0) -> Usage:
        """Return the usage; a missing figure is estimated at four bytes a token."""
        tokens = self._largest
        prompt, output = tokens.get("prompt_tokens", 0), tokens.get("output_tokens", 0)
        cached, audio = tokens.get("cached_tokens", 0), tokens.get("audio_tokens", 0)
        is_estimated = bool(self._impossible - tokens.keys())
        if not prompt:
            prompt, is_estimated = prompt_bytes // BYTES_PER_TOKEN + file_tokens, True
        if text_bytes and not output:
            output, is_estimated = -(-text_bytes // BYTES_PER_TOKEN), True
        if cached > prompt:
            cached, is_estimated = 0, True
        if audio > prompt:
            audio, is_estimated = 0, True
        return Usage(
            prompt,
            output,
            cached,
            tokens.get("thinking_tokens", 0),
            is_estimated,
            tool_prompt_tokens=tokens.get("tool_prompt_tokens", 0),
            search_queries=tokens.get("search_queries", 0),
            audio_tokens=audio,
        )


def fitting_name(name: str) -> str:
    """Return a name of the vendor; empty for a name that no column can hold."""
    return name if len(name) <= LONGEST_NAME and name.isprintable() else ""


class StreamAccumulator:
    """An answer while chunks come in; the text of each chunk goes to `on_delta`.

    An answer that `is_full` ends as the longest answer does. The backend then stops reading. A
    continuation counts the bytes of the text `before`.
    """

    def __init__(self, request: Request, on_delta: OnDelta, *, bytes_before: int = 0) -> None:
        self._on_delta = on_delta
        self._request = request
        self._reported = ReportedTokens()
        self._is_geminis = False
        self._most_bytes = MOST_TEXT_BYTES - bytes_before
        self.text_bytes = 0
        self.is_full = False
        self._finish_reason = ""
        self._block_reason = ""
        self._model_version = ""
        self._continuation_token = b""

    @property
    def continuation_token(self) -> bytes:
        """The token of an answer that Gemini can continue; else empty."""
        return self._continuation_token if self._finish_reason == "CONTINUATION" else b""

    def add(self, chunk: Chunk) -> None:
        self._is_geminis = self._is_geminis or chunk != Chunk()
        # No column holds NUL: an answer of NUL alone has no text.
        text = self._cut(chunk.text.replace("\x00", ""))
        if chunk.finish_reason or chunk.text:
            # Text after a finish reason: the reason came too early, and the text may be cut.
            self._finish_reason = "MAX_TOKENS" if self.is_full else chunk.finish_reason
        self._block_reason = chunk.block_reason or self._block_reason
        self._model_version = fitting_name(chunk.model_version) or self._model_version
        self._continuation_token = chunk.continuation_token or self._continuation_token
        self._reported.add(chunk.usage or {})
        if chunk.search_queries:
            self._reported.add_queries(chunk.search_queries)
        self._on_delta(TextDelta(text))

    def _cut(self, text: str) -> str:
        """Count a text, and cut the text that makes an answer too large."""
        encoded = text.encode(errors="replace")
        left = self._most_bytes - self.text_bytes
        if len(encoded) > left:
            self.is_full = True
            text = encoded[:left].decode(errors="ignore")
        self.text_bytes += min(len(encoded), left)
        return text

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
                error.provider_code = fitting_name(self._block_reason or self._finish_reason)
            raise error
        outcome = outcome_for(self._finish_reason)
        return Completion(
            outcome.value,
            self._usage,
            self._model_version or self._request.model,
            "" if outcome is Outcome.STOP else fitting_name(self._finish_reason),
        )

    def _failure(self, failed: GeminiError | None) -> GeminiError | None:
        if self._block_reason:
            return GeminiError(
                "blocked", "Gemini's safety filters blocked the prompt. Word it differently."
            )
        outcome = outcome_for(self._finish_reason)
        if outcome is Outcome.BLOCKED:
            return GeminiError(
                "blocked",
                "Gemini's safety filters ended the answer. Word the prompt differently.",
            )
        if not self.text_bytes:
            return self._failure_without_text(failed)
        if outcome not in (Outcome.UNFINISHED, Outcome.BROKEN):
            return None
        return GeminiError(
            "interrupted", "The answer broke off before its end. Regenerate it to get a whole one."
        )

    def _failure_without_text(self, failed: GeminiError | None) -> GeminiError:
        if failed is not None:
            return failed
        if not self._is_geminis:
            return unreadable()
        if outcome_for(self._finish_reason) is Outcome.MAX_TOKENS:
            return GeminiError(
                "empty",
                "Gemini used up its answer's length on thinking. Ask for something smaller.",
            )
        is_broken = outcome_for(self._finish_reason) is Outcome.BROKEN
        return GeminiError(
            "empty", "Gemini sent an answer without text. Try again.", permanent=not is_broken
        )

    @property
    def _cost(self) -> Usage | None:
        """Usage of an incomplete answer; None where Gemini refused to answer or sent nothing."""
        return self._usage if self._is_geminis else None

    @property
    def _usage(self) -> Usage:
        sent = [self._request.system, *(content.text for content in self._request.contents)]
        return self._reported.usage(
            prompt_bytes=sum(len(text.encode()) for text in sent),
            text_bytes=self.text_bytes,
            file_tokens=self._request.file_tokens,
        )

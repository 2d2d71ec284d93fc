"""The messages of a streamed answer, before an SDK reads the messages.

An SDK raises an error for any value of an unexpected type, and the text of the message is lost. So
an SDK gets only the values for the program, each of the right type.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

# Errors for a body that is not Gemini's, raised here or by an SDK.
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, RecursionError)
# The first bytes of an error's body; the rest is not read.
MOST_ERROR_BYTES = 65_536

_STREAMED_STATUSES = range(400, 600)
_COUNTS = (
    "promptTokenCount",
    "candidatesTokenCount",
    "cachedContentTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
)
_COUNT = re.compile(r"([0-9]{1,9})(?:\.0+)?")
# As impossible as Gemini's figure, and of the right type.
_IMPOSSIBLE = -1
IMPOSSIBLE_QUERY = "\x00"
# Far more than one answer searches for. A longer query is cut.
MOST_QUERIES = 1_000
_QUERY_CHARACTERS = 500
# More digits than any figure has; Python refuses to read thousands of digits.
_MOST_DIGITS = 30

decoder = json.JSONDecoder(
    parse_int=lambda digits: int(digits) if len(digits) <= _MOST_DIGITS else _IMPOSSIBLE
)


class Refusal(Exception):
    """An HTTP status that is not 200, or an error inside a stream."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body
        self.headers = headers or {}


class ForeignAnswer(Exception):
    """An answer with status 200 that is no stream of messages."""

    def __init__(self, content_type: str) -> None:
        super().__init__("no stream of messages")
        self.content_type = content_type


class MessageReader:
    """Reads the messages of one stream; joins the halves of a character in two messages."""

    def __init__(self) -> None:
        self._half = ""

    def read(self, message: object) -> dict[str, Any]:
        """Return the message in a form for both SDKs, with the thoughts removed.

        A count or a name of a wrong type counts as not reported. Raises Refusal for an error, and
        one of UNREADABLE for a message that is not Gemini's.
        """
        if not isinstance(message, dict):
            raise ValueError("not a message of Gemini")
        if message.get("error") is not None:
            raise _streamed_refusal(message)
        readable: dict[str, Any] = {}
        for candidate in (message.get("candidates") or [])[:1]:
            text = self._join(_text_of(candidate))
            content = {"role": "model", "parts": [{"text": text}] if text else []}
            named = _names(candidate, "finishReason")
            more = _grounding(candidate) | _continuation_token(candidate)
            readable["candidates"] = [{"content": content, "index": 0, **named, **more}]
        if feedback := _names(message.get("promptFeedback"), "blockReason"):
            readable["promptFeedback"] = feedback
        if isinstance(usage := message.get("usageMetadata"), dict):
            readable["usageMetadata"] = _counts(usage) | _audio_tokens(usage)
        return readable | _names(message, "modelVersion")

    def _join(self, text: str) -> str:
        """Join the halves of a character; a first half at the end is held."""
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return whole.encode("utf-8", "replace").decode()


def json_or_none(body: bytes) -> Any:
    """Return a JSON body; None for any other body."""
    try:
        return decoder.decode(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None


def _streamed_refusal(message: dict[str, Any]) -> Refusal:
    error = message["error"]
    code: Any = error.get("code") if isinstance(error, dict) else None
    is_status = isinstance(code, int) and code in _STREAMED_STATUSES
    return Refusal(code if is_status else 500, message)


def _text_of(candidate: dict[str, Any]) -> str:
    parts = (candidate.get("content") or {}).get("parts") or []
    return "".join(part.get("text") or "" for part in parts if not part.get("thought"))


def _names(fields: object, key: str) -> dict[str, str]:
    name = fields.get(key) if isinstance(fields, dict) else None
    return {key: name} if isinstance(name, str) else {}


def _grounding(candidate: dict[str, Any]) -> dict[str, Any]:
    """Return the distinct queries of a candidate; Google does not bill an empty query."""
    grounding = candidate.get("groundingMetadata")
    queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
    if queries is None:
        return {}
    distinct = [IMPOSSIBLE_QUERY]
    if isinstance(queries, list) and all(isinstance(query, str) for query in queries):
        cut = {_storable(query).strip()[:_QUERY_CHARACTERS] for query in queries} - {""}
        distinct = sorted(cut) if len(cut) <= MOST_QUERIES else distinct
    return {"groundingMetadata": {"webSearchQueries": distinct}}


def _continuation_token(candidate: dict[str, Any]) -> dict[str, str]:
    token: Any = candidate.get("continuationToken")
    try:
        known = base64.b64decode(token, altchars="-_", validate=True)
    except (TypeError, ValueError):
        return {}
    return {"continuationToken": base64.b64encode(known).decode()}


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _audio_tokens(usage: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Sum the prompt's audio tokens into a single entry of the details."""
    details = usage.get("promptTokensDetails")
    if details is None:
        return {}
    if isinstance(details, list) and all(isinstance(entry, dict) for entry in details):
        audio = [entry for entry in details if entry.get("modality") == "AUDIO"]
        counts = [_count(entry.get("tokenCount") or 0) for entry in audio]
        total = _IMPOSSIBLE if _IMPOSSIBLE in counts else sum(counts)
    else:
        total = _IMPOSSIBLE
    return {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": total}]}


def _counts(usage: dict[str, Any]) -> dict[str, int]:
    return {name: _count(usage[name]) for name in _COUNTS if usage.get(name) is not None}


def _count(figure: object) -> int:
    match = _COUNT.fullmatch(str(figure))
    return int(match[1]) if match else _IMPOSSIBLE

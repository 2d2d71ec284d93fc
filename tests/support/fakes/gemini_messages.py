"""The scripted answers, received requests and JSON of the fake Gemini."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# As generative_service.proto numbers them: the older SDK asks for enums as integers.
_FINISH_REASONS = ["FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION"]
_FINISH_REASONS += ["OTHER", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"]
_FINISH_REASONS += ["MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY"]
_BLOCK_REASONS = ["BLOCK_REASON_UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"]
_UNKNOWN_NUMBER = 99
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_LEVELS = {"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}
DIRECTIVE = re.compile(r"\[\[gemini (.*)\]\]", re.DOTALL)
MODEL_PATH = re.compile(r"/(v1|v1beta)/models/([^:/?]+):(\w+)")


@dataclass(frozen=True)
class Answer:
    """One scripted answer. Delays are in seconds; everything is plain JSON.

    `chunks` None stands for a text about the prompt, in five pieces. After the last chunk comes the
    `ending`:

    - `end`: the normal end of the stream;
    - `drop`: the connection closes without the end of the stream;
    - `error`: an error of `streamed_status` inside the stream;
    - `hang`: nothing more;
    - `trickle`: the last chunk, again and again;
    - `doomed`: the normal end, but the connection closes at the next use.

    With a `gate` the first chunk is sent at once. `FakeGemini.allow(gate)` sends one more chunk,
    `FakeGemini.open(gate)` all.
    """

    chunks: list[str] | None = None
    messages: list[dict[str, Any]] | None = None  # sent unchanged, in place of chunks
    thoughts: list[str] = field(default_factory=list)
    first_delay: float = 0.0
    chunk_delay: float = 0.0
    gate: str = ""
    ending: Literal["end", "drop", "error", "hang", "trickle", "doomed"] = "end"
    streamed_status: int = 503
    finish_reason: str = "STOP"
    continuation_token: Any = ""  # base64, with the finish reason
    block_reason: str = ""
    searches: list[Any] = field(default_factory=list)  # queries, with the last chunk
    tool_tokens: int = 0  # of pages that Gemini has read
    audio_tokens: int = 0  # of the prompt
    usage: bool = True
    usage_counts: dict[str, Any] | None = None  # in place of true counts
    model_version: str = ""  # in place of the model of the request
    fragment_bytes: int = 0  # cuts the stream at any byte, within a character too
    status: int = 200
    error_message: str = ""
    error_status: str = ""
    error_reason: str = ""
    retry_seconds: float | str | None = None
    quota_id: str = ""
    raw_body: str | None = None  # in place of JSON, with `status`
    raw_type: str = "text/html"
    headers: dict[str, str] = field(default_factory=dict)  # with a `raw_body`

    @classmethod
    def unavailable(cls, status: int = 503, **fields: Any) -> "Answer":
        return cls(status=status, error_message="The model is overloaded.", **fields)

    @classmethod
    def rate_limited(
        cls, retry_seconds: float | str | None = None, *, day: bool = False
    ) -> "Answer":
        span = "PerDay" if day else "PerMinute"
        return cls(
            status=429,
            error_message="You exceeded your current quota.",
            retry_seconds=retry_seconds,
            quota_id=f"GenerateRequests{span}PerProjectPerModel-FreeTier",
        )

    @classmethod
    def bad_key(cls) -> "Answer":
        return cls(
            status=400,
            error_message="API key not valid. Please pass a valid API key.",
            error_reason="API_KEY_INVALID",
        )

    @classmethod
    def too_long(cls) -> "Answer":
        return cls(
            status=400,
            error_message="The input token count (1200000) exceeds the maximum number of tokens "
            "allowed (1048576).",
        )


def directive(*answers: Answer) -> str:
    """Text for a prompt, which gets these answers in turn, then the last again."""
    told = [
        {name: value for name, value in asdict(a).items() if value != _PLAIN[name]} for a in answers
    ]
    return f"[[gemini {json.dumps(told)}]]"


_PLAIN = asdict(Answer())


@dataclass
class Received:
    """One request, as it came in. Times are those of `time.monotonic`."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float
    ended_at: float | None = None
    client_closed: bool = False
    cached_tokens: int = 0

    @property
    def prompt(self) -> str:
        """The text of the newest turn."""
        contents = self.body.get("contents") or [{}]
        return "".join(part.get("text", "") for part in contents[-1].get("parts", []))

    @property
    def model(self) -> str:
        match = MODEL_PATH.match(self.path)
        return match[2] if match else ""


class PrefixCache:
    """Implicit caching: the beginnings of all requests so far, by model and system instruction."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def count(self, received: Received, *, minimum: int) -> int:
        """The tokens of the longest prefix that an earlier request had; 0 below the minimum."""
        head = [received.model, received.body.get("systemInstruction"), received.body.get("tools")]
        digest = hashlib.sha256(json.dumps(head).encode())
        tokens = cached = 0
        for turn in map(json.dumps, received.body.get("contents", [])):
            digest.update(turn.encode())
            tokens += count_tokens(turn)
            prefix = digest.hexdigest()
            if prefix in self._seen:
                cached = tokens
            self._seen.add(prefix)
        return cached if cached >= minimum else 0


class Form:
    """How messages are strung together on the wire."""

    type = b""
    end = b""

    def message(self, message: Any) -> bytes:
        raise NotImplementedError


class ServerSentEvents(Form):
    type = b"text/event-stream"

    def message(self, message: Any) -> bytes:
        return b"data: " + dump(message).encode() + b"\r\n\r\n"


class Array(Form):
    """What streamGenerateContent sends without `alt=sse`: one JSON array, bit by bit."""

    type = b"application/json; charset=UTF-8"
    end = b"]"

    def __init__(self) -> None:
        self._separator = b"["

    def message(self, message: Any) -> bytes:
        sent = self._separator + dump(message, indent=2).encode()
        self._separator = b",\r\n"
        return sent


def refusal_of(received: Received) -> Answer | None:
    """The answer to a request that Gemini would refuse; None for a valid request."""
    body = received.body
    thinking = body.get("generationConfig", {}).get("thinkingConfig", {})
    # As Google's JSON: both spellings of a name. The SDK sends the second.
    level = thinking.get("thinkingLevel", thinking.get("thinking_level"))
    if level is not None and level not in _LEVELS:
        return Answer(status=400, error_message=f"Unknown thinking level {level}.")
    if level is not None and {"thinkingBudget", "thinking_budget"} & thinking.keys():
        return Answer(status=400, error_message="Set a thinking level or a budget, not both.")
    if body.get("contents", [{}])[-1].get("role") == "model":
        return Answer(status=400, error_message="The last turn must be the user's.")
    return None


def messages_of(received: Received, answer: Answer) -> Iterator[dict[str, Any]]:
    """The messages of one stream; the last one carries finish reason and usage."""
    if answer.messages is not None:
        yield from answer.messages
        return
    common: dict[str, Any] = {
        "modelVersion": answer.model_version or received.model,
        "responseId": "fake",
    }
    if answer.block_reason:
        yield {"promptFeedback": {"blockReason": answer.block_reason}, **common}
        return
    common |= _usage(received, answer)
    parts = [{"text": thought, "thought": True} for thought in answer.thoughts]
    chunks = _text_about(received.prompt) if answer.chunks is None else answer.chunks
    parts += [{"text": chunk} for chunk in chunks]
    ends = answer.ending in ("end", "doomed")
    if not parts and ends:
        yield {"candidates": [{**_finish(answer), "index": 0}], **common}
    for number, part in enumerate(parts, start=1):
        content = {"content": {"parts": [part], "role": "model"}, "index": 0}
        if number == len(parts) and ends:
            content |= _finish(answer)
        yield {"candidates": [content], **common}


def whole_answer(received: Received, answer: Answer) -> dict[str, Any]:
    messages = list(messages_of(received, answer))
    candidates = [message["candidates"][0] for message in messages if message.get("candidates")]
    parts = [part for each in candidates for part in each.get("content", {}).get("parts", [])]
    whole = dict(messages[-1])
    if candidates:
        content = {"parts": parts, "role": "model"}
        whole["candidates"] = [{"content": content, **_finish(answer), "index": 0}]
    return with_enums(whole, received)


def _finish(answer: Answer) -> dict[str, Any]:
    finish: dict[str, Any] = {"finishReason": answer.finish_reason} if answer.finish_reason else {}
    if answer.continuation_token:
        finish["continuationToken"] = answer.continuation_token
    if answer.searches:
        finish["groundingMetadata"] = {"webSearchQueries": answer.searches}
    return finish


def _usage(received: Received, answer: Answer) -> dict[str, Any]:
    if not answer.usage:
        return {}
    if answer.usage_counts is not None:
        return {"usageMetadata": answer.usage_counts}
    chunks = _text_about(received.prompt) if answer.chunks is None else answer.chunks
    prompt = sum(count_tokens(_text_alone(turn)) for turn in received.body.get("contents", []))
    counts = {
        "promptTokenCount": prompt + answer.audio_tokens,
        "candidatesTokenCount": count_tokens("".join(chunks)),
        "thoughtsTokenCount": count_tokens("".join(answer.thoughts)),
        "toolUsePromptTokenCount": answer.tool_tokens,
    }
    # The prompt's tokens include the cached tokens.
    cached = {"cachedContentTokenCount": received.cached_tokens}
    reported = {**counts, **cached, "totalTokenCount": sum(counts.values())}
    modalities = {"TEXT": prompt, "AUDIO": answer.audio_tokens}
    details = [{"modality": name, "tokenCount": count} for name, count in modalities.items()]
    return {"usageMetadata": {**reported, "promptTokensDetails": details}}


def _text_alone(turn: dict[str, Any]) -> str:
    """The JSON of a turn without the bytes of files."""
    parts = [part for part in turn.get("parts", []) if "text" in part]
    return json.dumps({**turn, "parts": parts})


def _text_about(prompt: str) -> list[str]:
    """The default answer: the same five chunks for the same prompt."""
    return ["You wrote: ", prompt, ". ", "That was ", f"{len(prompt)} characters long."]


def count_tokens(text: str) -> int:
    return -(-len(text) // 4)


def with_enums(message: dict[str, Any], received: Received) -> dict[str, Any]:
    """With `enum-encoding=int`, as the older SDK asks, Google sends numbers for names."""
    if "enum-encoding=int" not in received.path:
        return message
    told = json.loads(json.dumps(message))
    for candidate in told.get("candidates", []):
        if "finishReason" in candidate:
            candidate["finishReason"] = _number(candidate["finishReason"], _FINISH_REASONS)
    feedback = told.get("promptFeedback", {})
    if "blockReason" in feedback:
        feedback["blockReason"] = _number(feedback["blockReason"], _BLOCK_REASONS)
    return told


def _number(name: str, names: list[str]) -> int:
    return names.index(name) if name in names else _UNKNOWN_NUMBER


def error_body(answer: Answer) -> dict[str, Any]:
    """As in https://google.aip.dev/193."""
    details: list[dict[str, Any]] = []
    google = "type.googleapis.com/google.rpc."
    if answer.error_reason:
        details.append({"@type": f"{google}ErrorInfo", "reason": answer.error_reason})
    if answer.quota_id:
        violation = {"quotaId": answer.quota_id, "quotaValue": "15"}
        details.append({"@type": f"{google}QuotaFailure", "violations": [violation]})
    if answer.retry_seconds is not None:
        details.append({"@type": f"{google}RetryInfo", "retryDelay": f"{answer.retry_seconds}s"})
    return {
        "error": {
            "code": answer.status,
            "message": answer.error_message or "Something is wrong.",
            "status": answer.error_status or _STATUS_NAMES.get(answer.status, "UNKNOWN"),
            "details": details,
        }
    }


def dump(message: Any, **how: Any) -> str:
    text = json.dumps(message, ensure_ascii=False, **how)
    # Half of a pair of surrogates goes out as an escape.
    return text.encode("utf-8", "backslashreplace").decode()

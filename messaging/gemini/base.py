"""The types of every Gemini backend: requests, deltas, the error class, cancellation."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str

    def as_dict(self) -> dict[str, Any]:
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class InlineDataPart:
    """The bytes of a file, in the request."""

    media_type: str
    data: bytes

    def as_dict(self) -> dict[str, Any]:
        return {"inline_data": {"mime_type": self.media_type, "data": self.data}}


@dataclass(frozen=True, slots=True)
class FileDataPart:
    """A copy of a file at Google's Files API."""

    media_type: str
    uri: str

    def as_dict(self) -> dict[str, Any]:
        return {"file_data": {"mime_type": self.media_type, "file_uri": self.uri}}


# A function call will be a class beside the others.
Part = TextPart | InlineDataPart | FileDataPart

# The kinds of files that Google's backends send; a text goes as a TextPart.
FILE_KINDS = frozenset({"image", "pdf", "audio"})


@dataclass(frozen=True, slots=True)
class Content:
    """A message of the conversation; `role` and the parts are Gemini's terms."""

    role: Literal["user", "model"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    def as_dict(self) -> dict[str, Any]:
        """Return the form for the REST API and both SDKs.

        The SDKs' classes cost twice the time.
        """
        return {"role": self.role, "parts": [part.as_dict() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a reply. `contents` ends with the prompt; `system` may be empty.

    `thinking` is a level; empty for a request without a level. `file_tokens` estimates the tokens
    of files that are no text, for usage without a report.
    """

    model: str
    system: str
    contents: tuple[Content, ...]
    max_output_tokens: int
    thinking: str = ""
    file_tokens: int = 0

    def without_system_role(self) -> "Request":
        """Return the request with the instructions as the first turn of the user."""
        instructions = Content("user", (TextPart(self.system),))
        return replace(self, system="", contents=(instructions, *self.contents))


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Text of an answer, exactly as upstream sent it."""

    text: str


# Thoughts, steps, sources and function calls will be classes beside TextDelta.
Delta = TextDelta

# An unused message of upstream, as a thought or a usage report.
SIGN_OF_LIFE = TextDelta("")

# Gets each delta of an answer. The function must not block: the calling thread may be reading
# hundreds of answers. `stream_reply` does not pass a SIGN_OF_LIFE on.
OnDelta = Callable[[Delta], None]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a generation; `output_tokens` does not include `thinking_tokens`.

    `estimated` means no usage from the provider; the figures come from text lengths. Cached tokens
    and audio tokens are parts of the prompt's tokens, and `tool_prompt_tokens` are no part.
    """

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int
    thinking_tokens: int
    estimated: bool = False
    tool_prompt_tokens: int = 0
    search_queries: int = 0
    audio_tokens: int = 0

    def plus(self, other: "Usage | None") -> "Usage":
        """Add the usage of another request for the same answer."""
        if other is None:
            return self
        sums = {name: figure + getattr(other, name) for name, figure in asdict(self).items()}
        return Usage(**{**sums, "estimated": self.estimated or other.estimated})


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of a whole answer.

    `finish_reason` is `stop`, `max_tokens` or `other`. `provider_code` is the provider's name for a
    reason that is not `stop`. `requests` is the number of requests that `usage` adds up.
    """

    finish_reason: str
    usage: Usage
    model_version: str
    provider_code: str = ""
    requests: int = 1


ErrorCode = Literal[
    "blocked",
    "rate_limited",
    "unavailable",
    "timeout",
    "context_too_long",
    "misconfigured",
    "bad_request",
    "interrupted",
    "empty",
]

# Codes of temporary failures: a person may send the same request again.
RETRYABLE_CODES = frozenset({"rate_limited", "unavailable", "timeout", "interrupted", "empty"})


class GeminiError(Exception):
    """The error of every backend. Holds no key, no provider text, no user's text.

    `detail` is a sentence with advice for a person. The program does not retry after a `permanent`
    failure. A person may try again later after a `retryable` failure. `retry_after` is the
    provider's time in seconds. `scope` is set for `rate_limited`: "minute" or "day". `clock` is set
    for `timeout`: "first_byte", "idle" or "total". `usage` and `model_version` are the provider's
    report before the failure. Without a report `usage` is estimated, or None if the request did not
    reach a model. `provider_code` is the provider's name for the failure, as "429
    RESOURCE_EXHAUSTED" or "SAFETY".
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        permanent: bool = True,
        retry_after: float | None = None,
        scope: Literal["", "minute", "day"] = "",
        clock: str = "",
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.permanent = permanent
        self.retry_after = retry_after
        self.scope = scope
        self.clock = clock
        self.usage: Usage | None = None
        self.model_version = ""
        self.provider_code = ""

    @property
    def retryable(self) -> bool:
        return self.code in RETRYABLE_CODES


class NoSystemRole(GeminiError):
    """The model takes no system instruction."""

    def __init__(self) -> None:
        super().__init__(
            "misconfigured",
            "This model takes no instructions. Remove the room's instructions, or choose another "
            "model.",
        )


class Cancelled(Exception):
    """The program ended the stream; the text until then is valid.

    `usage` and `model_version` are as on `GeminiError`: a stopped generation has a cost too.
    `usage` is None if the request was not sent to the provider.
    """

    def __init__(self, reason: str, *, usage: Usage | None = None, model_version: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.usage = usage
        self.model_version = model_version


class Cancellation:
    """A thread-safe request to end a stream; wakes a thread blocked on a socket.

    The first `cancel` wins. A callback runs at most once, in the thread of the `cancel`. The
    callback must not block and must not use the Cancellation.
    """

    def __init__(self) -> None:
        # The lock covers running and removing callbacks, so no callback runs after `on_cancel`. A
        # late callback could close the socket of another stream.
        self._lock = threading.Lock()
        self._set = threading.Event()
        self._callbacks: dict[object, Callable[[], object]] = {}
        self.reason = ""

    @property
    def is_set(self) -> bool:
        return self._set.is_set()

    def cancel(self, reason: str) -> None:
        with self._lock:
            if self._set.is_set():
                return
            self.reason = reason
            self._set.set()
            for callback in self._callbacks.values():
                callback()

    def wait(self, seconds: float) -> bool:
        """Sleep until cancelled or `seconds` have passed; true if cancelled."""
        return self._set.wait(seconds)

    def raise_if_set(self) -> None:
        if self._set.is_set():
            raise Cancelled(self.reason)

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Run `callback` on a cancellation within the block, or at once if already cancelled."""
        key = object()
        with self._lock:
            if self._set.is_set():
                callback()
            else:
                self._callbacks[key] = callback
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)


class Backend:
    """Streams a reply in a single try; `stream_reply` has the retries and the deadlines.

    A subclass takes no arguments. Each process has a single instance for many threads.
    `capabilities` names the abilities beyond a text: `models` for a choice of model, `thinking` for
    levels, and the names of `GeminiModel.Tool` and `GeminiModel.Modality`. A backend that
    `reads_files` gets the bytes of files, and others get the names.
    """

    capabilities: frozenset[str] = frozenset()
    reads_files = False

    def stream(self, request: Request, *, cancelled: Cancellation, on_delta: OnDelta) -> Completion:
        """Pass each delta to `on_delta` at once, and return the end of the answer.

        Raises `GeminiError`. Soon after `cancelled` is set the backend closes the connection and
        raises `Cancelled`, even while upstream is silent.
        """
        raise NotImplementedError

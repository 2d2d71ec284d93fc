"""A fake Gemini: a real HTTP server on loopback that speaks Google's wire format.

    with FakeGemini() as gemini:
        gemini.script(Answer.unavailable(), Answer(chunks=["Hello", " there"]))
        settings.GEMINI_API_BASE = gemini.url
        ...
        assert len(gemini.requests) == 2

What it answers is, in this order: the script (one `Answer` a request), a directive in the prompt
(`directive(...)`, safe with many prompts at once), and else the default answer.

From another process: GET /_control/requests, POST /_control/script (a JSON list of `Answer`
fields), POST /_control/default (one of them), POST /_control/reset. To run one by hand:

    python -m tests.support.fakes.gemini --port 8999 --first-delay 1 --tokens 200
"""

import argparse
import asyncio
import json
import re
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal
from urllib.parse import unquote

# As generative_service.proto numbers them: the older SDK asks for enums as integers.
_FINISH_REASONS = ["FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION"]
_FINISH_REASONS += ["OTHER", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"]
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
_DIRECTIVE = re.compile(r"\[\[gemini (.*)\]\]", re.DOTALL)
_DESCRIBED_PATH = re.compile(r"/v1beta/models/([^:/?]+)")
_MODEL_PATH = re.compile(r"/(v1|v1beta)/models/([^:/?]+):(\w+)")


@dataclass(frozen=True)
class Answer:
    """One scripted answer. Delays are in seconds; everything is plain JSON.

    `chunks` None stands for a text about the prompt, in five pieces. `ending` is what follows
    the last chunk: `end` as it should be; `drop` closes without the stream's end; `error` sends
    an error of `streamed_status` inside the stream; `hang` sends nothing more; `trickle` repeats
    the last chunk for ever; `doomed` ends well, but closes when the connection is used again.

    An answer with a `gate` sends its first chunk, and each later one when the test allows it:
    `FakeGemini.allow(gate)` for one more chunk, `FakeGemini.open(gate)` for all.
    """

    chunks: list[str] | None = None
    thoughts: list[str] = field(default_factory=list)
    first_delay: float = 0.0
    chunk_delay: float = 0.0
    gate: str = ""
    ending: Literal["end", "drop", "error", "hang", "trickle", "doomed"] = "end"
    streamed_status: int = 503
    finish_reason: str = "STOP"
    block_reason: str = ""
    usage: bool = True
    fragment_bytes: int = 0  # cuts the stream at any byte, within a character too
    status: int = 200
    error_message: str = ""
    error_status: str = ""
    error_reason: str = ""
    retry_seconds: float | None = None
    quota_id: str = ""
    raw_body: str | None = None  # in place of JSON, with `status`
    raw_type: str = "text/html"

    @classmethod
    def unavailable(cls, status: int = 503, **fields: Any) -> "Answer":
        return cls(status=status, error_message="The model is overloaded.", **fields)

    @classmethod
    def rate_limited(cls, retry_seconds: float | None = None, *, day: bool = False) -> "Answer":
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
    """Text to put into a prompt: it is answered so, request by request, the last for ever."""
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

    @property
    def prompt(self) -> str:
        """The text of the newest turn."""
        contents = self.body.get("contents") or [{}]
        return "".join(part.get("text", "") for part in contents[-1].get("parts", []))

    @property
    def model(self) -> str:
        match = _MODEL_PATH.match(self.path)
        return match[2] if match else ""


class FakeGemini:
    """The server, in a thread of its own; a context manager. One loop serves every stream."""

    def __init__(self, *, port: int = 0, default: Answer | None = None) -> None:
        self.requests: list[Received] = []
        self.default = default or Answer()
        self.open_connections = 0
        self.accepted_connections = 0
        self._port = port
        self._script: deque[Answer] = deque()
        self._directed: Counter[str] = Counter()
        self._allowed: Counter[str] = Counter()  # chunks of each gate, beyond the first
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-gemini", daemon=True)
        self._started = threading.Event()
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "FakeGemini":
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError(f"the fake Gemini could not listen on port {self._port}")
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def serve(self) -> None:
        """Wait until the server ends, which is for ever."""
        self._thread.join()

    def script(self, *answers: Answer) -> None:
        """Answer the next requests so, in this order."""
        self._script.extend(answers)

    def reset(self) -> None:
        self.requests.clear()
        self._script.clear()
        self._directed.clear()

    def allow(self, gate: str, chunks: int = 1) -> None:
        """Let so many more chunks of each answer with this gate be sent."""
        self._allowed[gate] += chunks

    def open(self, gate: str) -> None:
        self.allow(gate, sys.maxsize)

    async def wait_at(self, gate: str, chunk: int) -> None:
        """Wait until the chunk of this number, from 0, may be sent."""
        while gate and chunk > self._allowed[gate]:
            await asyncio.sleep(0.01)

    def wait_for(self, condition: Callable[["FakeGemini"], Any], seconds: float = 10.0) -> Any:
        """Poll until `condition(self)` is truthy, and return that."""
        deadline = time.monotonic() + seconds
        while not (found := condition(self)):
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not come about in {seconds} s: {self.requests}")
            time.sleep(0.005)
        return found

    def answer_to(self, received: Received) -> Answer:
        if self._script:
            return self._script.popleft()
        match = _DIRECTIVE.search(received.prompt)
        if not match:
            return self.default
        told = json.loads(match[1])
        number = min(self._directed[received.prompt], len(told) - 1)
        self._directed[received.prompt] += 1
        return Answer(**told[number])

    def control(self, action: str, sent: Any) -> Any:
        if action == "script":
            self.script(*(Answer(**fields) for fields in sent))
        elif action == "default":
            self.default = Answer(**sent)
        elif action == "reset":
            self.reset()
        elif action == "requests":
            return [asdict(received) for received in self.requests]
        return {}

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listen = self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self._port, backlog=1024
        )
        server = self._loop.run_until_complete(listen)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self._connections):
            connection.abort()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _Connection(asyncio.Protocol):
    """HTTP/1.1, kept alive, one request at a time; a client that hangs up is noticed."""

    def __init__(self, fake: FakeGemini) -> None:
        self._fake = fake
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._received: Received | None = None
        self._doomed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._fake.open_connections += 1
        self._fake.accepted_connections += 1
        self._fake._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._fake.open_connections -= 1
        self._fake._connections.discard(self)
        if self._task and not self._task.done():
            if self._received and self._received.ended_at is None:
                self._received.client_closed = True
                self._received.ended_at = time.monotonic()
            self._task.cancel()

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._doomed:
            self.abort()
            return
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        request_line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, path, _ = request_line.split(" ")
        body = json.loads(rest[:length] or b"{}")
        received = Received(method, unquote(path), headers, body, time.monotonic())
        self._task = asyncio.get_running_loop().create_task(self._serve_in_turn(received))

    async def _serve_in_turn(self, received: Received) -> None:
        """Two requests at once come over one connection only if two processes share it."""
        async with self._turn:
            await self._serve(received)

    async def _serve(self, received: Received) -> None:
        if received.path.startswith("/_control/"):
            answer = self._fake.control(received.path.removeprefix("/_control/"), received.body)
            self._send_whole(200, json.dumps(answer))
            return
        self._received = received
        self._fake.requests.append(received)
        match = _MODEL_PATH.match(received.path)
        if described := _DESCRIBED_PATH.fullmatch(received.path):
            answer = self._fake.answer_to(received)
            known = {"name": f"models/{described[1]}"}
            body = known if answer.status == 200 else _error_body(answer)
            self._send_whole(answer.status, _dump(body))
        elif not match:
            self._send_whole(404, _dump(_error_body(Answer(status=404))))
        elif match[3] == "countTokens":
            self._send_whole(200, _dump({"totalTokens": _tokens(json.dumps(received.body))}))
        else:
            streamed = match[3] == "streamGenerateContent"
            await self._answer(received, self._fake.answer_to(received), streamed=streamed)
        received.ended_at = received.ended_at or time.monotonic()

    async def _answer(self, received: Received, answer: Answer, *, streamed: bool) -> None:
        await asyncio.sleep(answer.first_delay)
        as_array = streamed and "alt=sse" not in received.path
        if answer.raw_body is not None:
            self._send_whole(answer.status, answer.raw_body, answer.raw_type)
        elif answer.status != 200:
            body = _error_body(answer)
            self._send_whole(answer.status, _dump([body] if streamed else body))
        elif not streamed:
            self._send_whole(200, _dump(_whole(received, answer)))
        else:
            await self._stream(received, answer, _Array() if as_array else _ServerSentEvents())

    async def _stream(self, received: Received, answer: Answer, form: "_Form") -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % form.type
        )
        messages = _messages(received, answer)
        next_at = time.monotonic()
        last: dict[str, Any] = {}
        for number, last in enumerate(messages):
            await self._fake.wait_at(answer.gate, number)
            self._write(form.message(_with_enums(last, received)), answer.fragment_bytes)
            next_at += answer.chunk_delay
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        while answer.ending == "trickle":
            self._write(form.message(_with_enums(last, received)), 0)
            await asyncio.sleep(max(answer.chunk_delay, 0.01))
        if answer.ending == "hang":
            await asyncio.get_running_loop().create_future()
        if answer.ending == "error":
            self._write(form.message(_error_body(Answer(status=answer.streamed_status))), 0)
        if answer.ending == "drop":
            received.ended_at = time.monotonic()
            self._transport.close()
            return
        self._write(form.end, 0)
        self._transport.write(b"0\r\n\r\n")
        self._doomed = answer.ending == "doomed"

    def _write(self, data: bytes, fragment_bytes: int) -> None:
        size = fragment_bytes or len(data) or 1
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _send_whole(self, status: int, body: str, content_type: str = "application/json") -> None:
        sent = body.encode()
        self._transport.write(
            f"HTTP/1.1 {status} Fake\r\nContent-Type: {content_type}; charset=utf-8\r\n"
            f"Content-Length: {len(sent)}\r\n\r\n".encode()
            + sent
        )


class _Form:
    """How messages are strung together on the wire."""

    type = b""
    end = b""

    def message(self, message: Any) -> bytes:
        raise NotImplementedError


class _ServerSentEvents(_Form):
    type = b"text/event-stream"

    def message(self, message: Any) -> bytes:
        return b"data: " + _dump(message).encode() + b"\r\n\r\n"


class _Array(_Form):
    """What streamGenerateContent sends without `alt=sse`: one JSON array, bit by bit."""

    type = b"application/json; charset=UTF-8"
    end = b"]"

    def __init__(self) -> None:
        self._separator = b"["

    def message(self, message: Any) -> bytes:
        sent = self._separator + json.dumps(message, ensure_ascii=False, indent=2).encode()
        self._separator = b",\r\n"
        return sent


def _messages(received: Received, answer: Answer) -> Iterator[dict[str, Any]]:
    """The messages of one stream; the last one carries finish reason and usage."""
    common = {"modelVersion": received.model, "responseId": "fake"}
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


def _whole(received: Received, answer: Answer) -> dict[str, Any]:
    messages = list(_messages(received, answer))
    candidates = [message["candidates"][0] for message in messages if message.get("candidates")]
    parts = [part for each in candidates for part in each.get("content", {}).get("parts", [])]
    whole = dict(messages[-1])
    if candidates:
        content = {"parts": parts, "role": "model"}
        whole["candidates"] = [{"content": content, **_finish(answer), "index": 0}]
    return _with_enums(whole, received)


def _finish(answer: Answer) -> dict[str, str]:
    return {"finishReason": answer.finish_reason} if answer.finish_reason else {}


def _usage(received: Received, answer: Answer) -> dict[str, Any]:
    if not answer.usage:
        return {}
    chunks = _text_about(received.prompt) if answer.chunks is None else answer.chunks
    prompt = sum(_tokens(json.dumps(turn)) for turn in received.body.get("contents", []))
    counts = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": _tokens("".join(chunks)),
        "thoughtsTokenCount": _tokens("".join(answer.thoughts)),
        "cachedContentTokenCount": 0,
    }
    return {"usageMetadata": {**counts, "totalTokenCount": sum(counts.values())}}


def _text_about(prompt: str) -> list[str]:
    """The default answer: the same five chunks for the same prompt."""
    return ["You wrote: ", prompt, ". ", "That was ", f"{len(prompt)} characters long."]


def _tokens(text: str) -> int:
    return -(-len(text) // 4)


def _with_enums(message: dict[str, Any], received: Received) -> dict[str, Any]:
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


def _error_body(answer: Answer) -> dict[str, Any]:
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


def _dump(message: Any) -> str:
    return json.dumps(message, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake Gemini on loopback.")
    parser.add_argument("--port", type=int, default=8999)
    parser.add_argument("--first-delay", type=float, default=0.0, help="seconds to the first token")
    parser.add_argument("--tokens", type=int, default=0, help="0: a text about the prompt")
    parser.add_argument("--tokens-per-second", type=float, default=0.0, help="0: at once")
    parser.add_argument("--tokens-per-chunk", type=int, default=8)
    told = parser.parse_args()
    answer = Answer(first_delay=told.first_delay)
    if told.tokens:
        words = [f"token{number} " for number in range(told.tokens)]
        size = told.tokens_per_chunk
        chunks = ["".join(words[start : start + size]) for start in range(0, len(words), size)]
        answer = replace(answer, chunks=chunks)
    if told.tokens_per_second:
        answer = replace(answer, chunk_delay=told.tokens_per_chunk / told.tokens_per_second)
    with FakeGemini(port=told.port, default=answer) as gemini:
        print(f"fake Gemini on {gemini.url}", flush=True)
        with suppress(KeyboardInterrupt):
            gemini.serve()


if __name__ == "__main__":
    main()

"""A fake Gemini: a real HTTP server on loopback that speaks Google's wire format.

    with FakeGemini() as gemini:
        gemini.script(Answer.unavailable(), Answer(chunks=["Hello", " there"]))
        settings.GEMINI_API_BASE = gemini.url
        ...
        assert len(gemini.requests) == 2

The answer comes from the script, one `Answer` for each request. Without a script it comes from a
directive in the prompt (`directive(...)`, safe with many prompts at once), else from the default.

With a `cache_minimum` the usage reports the prefix of an earlier request as cached, if the prefix
has this number of tokens. Google documents 4,096.

From another process:

- GET /_control/requests
- POST /_control/script, a JSON list of the fields of an `Answer`
- POST /_control/default, the fields of one `Answer`
- POST /_control/cache_minimum, a number of tokens
- POST /_control/reset

From a terminal:

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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.fakes.gemini_messages import (
    DIRECTIVE,
    MODEL_PATH,
    Answer,
    Array,
    Form,
    PrefixCache,
    Received,
    ServerSentEvents,
    count_tokens,
    directive,
    dump,
    error_body,
    messages_of,
    refusal_of,
    whole_answer,
    with_enums,
)
from tests.support.files.gemini_files import GeminiFiles, Reply

__all__ = ["Answer", "FakeGemini", "Received", "directive"]

_WITHOUT_BODY = {204, 304}
_DESCRIBED_PATH = re.compile(r"/v1beta/models/([^:/?]+)")
_LIST_PATH = "/v1beta/models"


class FakeGemini:
    """The server in a separate thread; a context manager. One loop serves every stream."""

    def __init__(self, *, port: int = 0, default: Answer | None = None) -> None:
        self.requests: list[Received] = []
        self.default = default or Answer()
        # The list of models, with the fields of Google's.
        self.models: list[dict[str, Any]] = []
        self.models_a_page = 1_000
        self.cache_minimum: int | None = None
        self.files = GeminiFiles()
        self._prefixes = PrefixCache()
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
        """Allow this number of further chunks for each answer with this gate."""
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
        match = DIRECTIVE.search(received.prompt)
        if not match:
            return self.default
        told = json.loads(match[1])
        number = min(self._directed[received.prompt], len(told) - 1)
        self._directed[received.prompt] += 1
        return Answer(**told[number])

    def page_of_models(self, received: Received) -> dict[str, Any]:
        """Return the page at the token, which is the number of the first model."""
        asked = parse_qs(urlsplit(received.path).query)
        first = int(asked.get("pageToken", ["0"])[0])
        end = first + min(int(asked["pageSize"][0]), self.models_a_page)
        more = {"nextPageToken": str(end)} if end < len(self.models) else {}
        return {"models": self.models[first:end], **more}

    def note_prefix(self, received: Received) -> None:
        if self.cache_minimum is not None:
            received.cached_tokens = self._prefixes.count(received, minimum=self.cache_minimum)

    def control(self, action: str, sent: Any) -> Any:
        if action == "script":
            self.script(*(Answer(**fields) for fields in sent))
        elif action == "default":
            self.default = Answer(**sent)
        elif action == "cache_minimum":
            self.cache_minimum = sent
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
        content = rest[:length]
        body = {} if GeminiFiles.is_bytes(path) else json.loads(content or b"{}")
        received = Received(method, unquote(path), headers, body, time.monotonic())
        self._task = asyncio.get_running_loop().create_task(self._serve_in_turn(received, content))

    async def _serve_in_turn(self, received: Received, content: bytes) -> None:
        """Two requests at once come over one connection only if two processes share it."""
        async with self._turn:
            if self._fake.files.takes(received.path):
                self._serve_file(received, content)
            else:
                await self._serve(received)

    def _serve_file(self, received: Received, content: bytes) -> None:
        reply = self._fake.files.answer(received, content, url=self._fake.url)
        if isinstance(reply, Answer):
            reply = Reply(reply.status, error_body(reply))
        self._send_whole(reply.status, dump(reply.body), headers=reply.headers)

    async def _serve(self, received: Received) -> None:
        if received.path.startswith("/_control/"):
            answer = self._fake.control(received.path.removeprefix("/_control/"), received.body)
            self._send_whole(200, json.dumps(answer))
            return
        self._received = received
        self._fake.requests.append(received)
        match = MODEL_PATH.match(received.path)
        if described := _DESCRIBED_PATH.fullmatch(received.path):
            answer = self._fake.answer_to(received)
            known = {"name": f"models/{described[1]}"}
            body = known if answer.status == 200 else error_body(answer)
            raw = answer.raw_body
            self._send_whole(answer.status, dump(body) if raw is None else raw)
        elif urlsplit(received.path).path == _LIST_PATH:
            answer = self._fake.answer_to(received)
            body = self._fake.page_of_models(received)
            raw = dump(body if answer.status == 200 else error_body(answer))
            raw = raw if answer.raw_body is None else answer.raw_body
            self._send_whole(answer.status, raw, headers=answer.headers)
        elif not match:
            self._send_whole(404, dump(error_body(Answer(status=404))))
        elif match[3] == "countTokens":
            self._send_whole(200, dump({"totalTokens": count_tokens(json.dumps(received.body))}))
        else:
            self._fake.note_prefix(received)
            streamed = match[3] == "streamGenerateContent"
            refusal = refusal_of(received) or self._fake.files.refusal_of(received.body)
            answer = refusal or self._fake.answer_to(received)
            await self._answer(received, answer, streamed=streamed)
        received.ended_at = received.ended_at or time.monotonic()

    async def _answer(self, received: Received, answer: Answer, *, streamed: bool) -> None:
        await asyncio.sleep(answer.first_delay)
        as_array = streamed and "alt=sse" not in received.path
        if answer.raw_body is not None:
            self._send_whole(answer.status, answer.raw_body, answer.raw_type, answer.headers)
        elif answer.status != 200:
            body = error_body(answer)
            self._send_whole(answer.status, dump([body] if streamed else body))
        elif not streamed:
            self._send_whole(200, dump(whole_answer(received, answer)))
        else:
            await self._stream(received, answer, Array() if as_array else ServerSentEvents())

    async def _stream(self, received: Received, answer: Answer, form: "Form") -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % form.type
        )
        messages = messages_of(received, answer)
        next_at = time.monotonic()
        last: dict[str, Any] = {}
        for number, last in enumerate(messages):
            await self._fake.wait_at(answer.gate, number)
            self._write(form.message(with_enums(last, received)), answer.fragment_bytes)
            next_at += answer.chunk_delay
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        while answer.ending == "trickle":
            self._write(form.message(with_enums(last, received)), 0)
            await asyncio.sleep(max(answer.chunk_delay, 0.01))
        if answer.ending == "hang":
            await asyncio.get_running_loop().create_future()
        if answer.ending == "error":
            self._write(form.message(error_body(Answer(status=answer.streamed_status))), 0)
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

    def _send_whole(
        self,
        status: int,
        body: str,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        sent = b"" if status in _WITHOUT_BODY else body.encode()
        fields = {
            "Content-Type": f"{content_type}; charset=utf-8",
            "Content-Length": str(len(sent)),
            **(headers or {}),
        }
        lines = [f"HTTP/1.1 {status} Fake", *(f"{name}: {fields[name]}" for name in fields)]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + sent)


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

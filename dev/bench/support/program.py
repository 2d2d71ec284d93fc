"""The program as `make run` starts it, beside a fake Gemini, with any worker."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

import psycopg

from dev.bench.support.people import Room, Sent, for_each, open_room, send, sign_in
from dev.bench.support.usage import environment_of
from dev.environment import BASE_DIR
from dev.servers.processes import spawn, stop
from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer

# One folder for each process, so that two runs do not meet.
VAR = BASE_DIR / "var" / f"bench-{os.getpid()}"
START_SECONDS = 60
UNDER_WAY = "SELECT count(*) FROM messaging_message WHERE status IN ('queued', 'generating')"


@dataclass(frozen=True, slots=True)
class Worker:
    """A kind of worker process, with the kind of `make run`: `threads`."""

    pool: str
    concurrency: int

    def __str__(self) -> str:
        return f"{self.pool} -c {self.concurrency}"


# The same as in `make run`.
STANDARD = Worker("threads", 400)


class Program:
    """Run web, beat, the stores and the fake inside `with`; `worker` adds a worker.

    The processes start as in development, with an echo of the sign-in codes. Then web starts again
    as in production, since DEBUG stores every executed statement.
    """

    def __init__(self, *, people: int) -> None:
        self._said: deque[str] = deque(maxlen=60)
        self._cleanup = ExitStack()
        self.port, self.gemini_port = free_ports(2)
        self._count = people

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            cleanup.callback(shutil.rmtree, VAR, ignore_errors=True)
            cleanup.push(self._tell_what_was_said)
            self._start_gemini(cleanup)
            self._stack = cleanup.enter_context(
                Stack(
                    var=VAR,
                    environ={**os.environ, **self._settings()},
                    port=self.port,
                    output=lambda name, line: self._said.append(f"{name:6} | {line}"),
                )
            )
            self._environment = environment_of(self._stack.processes["worker"].pid)
            self._commands = {name: each.args for name, each in self._stack.processes.items()}
            self.people = for_each(self.port, range(self._count), sign_in)
            for name in ("web", "worker"):
                stop(self._stack.processes[name], signal.SIGTERM, within_seconds=20)
            self._environment |= {"DEBUG": "false", "OTP_ECHO": "false"}
            self._web = cleanup.enter_context(self._process("web"))
            wait_for_port(self.port)
            self.database = cleanup.enter_context(
                psycopg.connect(self._environment["DATABASE_URL"], autocommit=True)
            )
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.__exit__(kind, error, traceback)

    @property
    def web_pid(self) -> int:
        return self._web.pid

    @property
    def stores(self) -> dict[str, str]:
        """Return DATABASE_URL and REDIS_URL."""
        return {name: self._environment[name] for name in ("DATABASE_URL", "REDIS_URL")}

    @property
    def gemini_url(self) -> str:
        return f"http://127.0.0.1:{self.gemini_port}"

    def manage(self, *arguments: str, **environ: str) -> str:
        """Run a manage.py command with the program's settings, or others; return the output."""
        command = [sys.executable, "manage.py", *arguments]
        environment = {**self._environment, "LOG_LEVEL": "WARNING", **environ}
        ended = subprocess.run(  # noqa: S603 a command of our own
            command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return ended.stdout

    def answer_with(self, answer: Answer) -> None:
        """Set the answer of the fake from now on."""
        body = json.dumps(asdict(answer)).encode()
        request = Request(f"{self.gemini_url}/_control/default", body, method="POST")  # noqa: S310
        urlopen(request).close()  # noqa: S310 loopback

    def rooms(self, count: int) -> list[Room]:
        """Make new rooms, each of another person."""
        if count > len(self.people):
            raise ValueError(f"{count} rooms for {len(self.people)} people")
        return for_each(self.port, self.people[:count], open_room)

    def send(self, rooms: Sequence[Room]) -> list[Sent]:
        return for_each(self.port, rooms, send)

    @contextmanager
    def worker(self, kind: Worker) -> Iterator[int]:
        """Start a worker; yield the process id after the first replies."""
        pool = {"--pool=threads": f"--pool={kind.pool}"}
        with self._process("worker", pool, f"--concurrency={kind.concurrency}") as process:
            self.send(self.rooms(2 * min(kind.concurrency, 10)))
            self.wait_for_replies(seconds=START_SECONDS)
            yield process.pid

    @contextmanager
    def web_on(self, database_url: str) -> Iterator[int]:
        """Start another web process on another database; yield the port."""
        [port] = free_ports(1)
        words = {str(self.port): str(port)}
        with self._process("web", words, DATABASE_URL=database_url):
            wait_for_port(port)
            yield port

    @contextmanager
    def _process(
        self, name: str, instead: Mapping[str, str] | None = None, *more: str, **environ: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command of the stack with other words and settings."""
        command: Any = self._commands[name]
        log_path = VAR / f"{name}.log"
        with log_path.open("wb") as log:
            process = spawn(
                [*((instead or {}).get(word, word) for word in command), *more],
                env={**self._environment, **environ},
                cwd=BASE_DIR,
                stdout=log,
                when_orphaned=signal.SIGKILL,
            )
            try:
                yield process
            except Exception:
                self._said.extend(log_path.read_text(errors="replace").splitlines())
                raise
            finally:
                stop(process, signal.SIGTERM, within_seconds=20)

    def replies_under_way(self) -> int:
        [count] = self.database.execute(UNDER_WAY).fetchone() or [0]
        return int(count)

    def wait_for_replies(self, *, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while under_way := self.replies_under_way():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{under_way} replies have not ended after {seconds:.0f} s")
            time.sleep(0.1)

    def _settings(self) -> dict[str, str]:
        return {
            # Every person has another address.
            "TRUSTED_PROXY_COUNT": "1",
            "BASIC_DAILY_LIMIT": "1000000",
            "BASIC_SENDS_PER_MINUTE": "1000000",
            "BASIC_WAITING_REPLIES": "0",
            "BASIC_CHATROOMS": "1000000",
            "BASIC_CHATROOMS_PER_MINUTE": "1000000",
            "BASIC_DAILY_TEXT_MB": "1000000",
            "BASIC_DAILY_COST_USD": "0",
            "BASIC_MINUTE_COST_USD": "0",
            "SMS_DAILY_BUDGET": "1000000",
            # Codes come only in answers, and the console backend needs DEBUG.
            "SMS_BACKEND": "tests.support.fakes.sms.Outbox",
            "GOOGLE_API_KEY": "bench",
            "GEMINI_API_BASE": self.gemini_url,
            "GEMINI_BACKEND": "google-genai",
            # Replies wait for a worker on purpose; the sweep would enqueue the replies again.
            "REPLY_SWEEP_SECONDS": "3600",
            "DATABASE_URL": "",
            "DB_HOST": "",
            "REDIS_URL": "",
        }

    def _start_gemini(self, cleanup: ExitStack) -> None:
        VAR.mkdir(parents=True)
        log = cleanup.enter_context((VAR / "gemini.log").open("wb"))
        process = spawn(
            [sys.executable, "-m", "tests.support.fakes.gemini", "--port", str(self.gemini_port)],
            env=os.environ,
            cwd=BASE_DIR,
            stdout=log,
            when_orphaned=signal.SIGKILL,
        )
        cleanup.callback(stop, process, signal.SIGTERM, within_seconds=5)

    def _tell_what_was_said(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            print(*self._said, sep="\n", file=sys.stderr)


def wait_for_port(port: int) -> None:
    """Wait until a server listens. Raises OSError after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    with ExitStack() as listening:
        sockets = [
            listening.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]

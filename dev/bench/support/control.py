"""Run the control (./peers) beside the program, on the same PostgreSQL, Redis and fake."""

import os
import secrets
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import jwt
import psycopg

from dev.bench.support.connection import Connection
from dev.bench.support.people import API, FIRST_MOBILE, PROMPT, Person, Room, for_each
from dev.bench.support.program import VAR, Program, free_ports, wait_for_port
from dev.environment import BASE_DIR
from dev.servers.processes import spawn, stop

# Databases of Redis; the program has the first.
BROKER, CACHE, RESULTS = 5, 6, 7
ANSWERED = "SELECT count(*) FROM messages WHERE sender = 'gemini'"
BETWEEN_WAVES = """
SELECT extract(epoch FROM max(created_at) - min(created_at)) FROM messages WHERE sender = 'gemini'
"""


class Control:
    """Run one uvicorn process inside `with`; `worker` adds a prefork worker."""

    def __init__(self, program: Program, *, people: int) -> None:
        self._program = program
        self._count = people
        self._secret = secrets.token_hex(32)
        [self.port] = free_ports(1)
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._environment = self._settings()
            self.database = cleanup.enter_context(
                psycopg.connect(self._environment["DATABASE"], autocommit=True)
            )
            self._run(
                "-c",
                "from dev.bench.support.peers.tables import *; Base.metadata.create_all(engine)",
            )
            self.people = self._make_people()
            command = ["uvicorn", "dev.bench.support.peers.api:app", "--port", str(self.port)]
            self._web = cleanup.enter_context(self._process("web", *command))
            wait_for_port(self.port)
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
        return self._web

    def rooms(self, owners: Sequence[tuple[uuid.UUID, Person]], *, each: int = 1) -> list[Room]:
        now = datetime.now(UTC)
        made = [
            (uuid.uuid4(), user_id, "Rivers", now, now)
            for user_id, _ in owners
            for _ in range(each)
        ]
        self._copy("chatrooms (id, user_id, title, created_at, updated_at)", made)
        persons = dict(owners)
        return [Room(persons[user_id], str(room_id)) for room_id, user_id, *_ in made]

    def fill(self, room: Room, texts: Sequence[str]) -> None:
        """Give a room messages, prompt and answer in turn."""
        now = datetime.now(UTC)
        rows = [
            (
                *(uuid.uuid4(), room.id, "gemini" if number % 2 else "user"),
                *(text, now + timedelta(seconds=number)),
            )
            for number, text in enumerate(texts)
        ]
        self._copy("messages (id, chatroom_id, sender, content, created_at)", rows)

    def replies_a_second(self, *, waves: int) -> float:
        """Measure a worker with `waves` replies for each process of the worker.

        The time is between the first wave and the last, so the start does not count.
        """
        processes = os.cpu_count() or 1
        expected = processes * waves
        self.database.execute("TRUNCATE messages")
        rooms = self.rooms(self.people[:expected])
        for_each(self.port, rooms, post)
        with self.worker():
            deadline = time.monotonic() + 10 * expected
            while True:
                [count] = self.database.execute(ANSWERED).fetchone() or (0,)
                if count >= expected:
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{count} of {expected} replies were made")
                time.sleep(0.1)
        [seconds] = self.database.execute(BETWEEN_WAVES).fetchone() or (0,)
        return (expected - processes) / float(seconds)

    @contextmanager
    def worker(self) -> Iterator[int]:
        """Start a worker with the default pool, a process for each core; yield its id."""
        arguments = [
            "celery",
            "--app=dev.bench.support.peers.tasks",
            "--quiet",
            "worker",
            "--loglevel=WARNING",
        ]
        with self._process("worker", *arguments) as pid:
            yield pid

    def _settings(self) -> dict[str, str]:
        stores = self._program.stores
        database = urlsplit(stores["DATABASE_URL"])._replace(path="/control")
        redis = urlsplit(stores["REDIS_URL"])
        with psycopg.connect(stores["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("CREATE DATABASE control")
        return {
            **os.environ,
            "DATABASE": database.geturl(),
            "CONTROL_DATABASE_URL": database._replace(scheme="postgresql+psycopg").geturl(),
            "CONTROL_BROKER_URL": redis._replace(path=f"/{BROKER}").geturl(),
            "CONTROL_CACHE_URL": redis._replace(path=f"/{CACHE}").geturl(),
            "CONTROL_RESULT_URL": redis._replace(path=f"/{RESULTS}").geturl(),
            "CONTROL_JWT_SECRET": self._secret,
            "GEMINI_API_BASE": self._program.gemini_url,
        }

    def _make_people(self) -> list[tuple[uuid.UUID, Person]]:
        now = datetime.now(UTC)
        made = [
            (uuid.uuid4(), f"+91{FIRST_MOBILE + number}", "basic", now)
            for number in range(self._count)
        ]
        self._copy("users (id, mobile, tier, created_at)", made)
        return [(user_id, self._person(user_id)) for user_id, *_ in made]

    def _person(self, user_id: uuid.UUID) -> Person:
        claims = {"sub": str(user_id), "exp": datetime.now(UTC) + timedelta(hours=24)}
        token = jwt.encode(claims, self._secret, algorithm="HS256")
        return Person({"Authorization": f"Bearer {token}"})

    def _copy(self, into: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self.database.cursor().copy(f"COPY {into} FROM STDIN") as sink:  # type: ignore[arg-type]
            for row in rows:
                sink.write_row(row)

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        subprocess.run(command, env=self._environment, cwd=BASE_DIR, check=True)  # noqa: S603

    @contextmanager
    def _process(self, name: str, *arguments: str) -> Iterator[int]:
        with (VAR / f"control-{name}.log").open("wb") as log:
            process = spawn(
                [sys.executable, "-m", *arguments],
                env=self._environment,
                cwd=BASE_DIR,
                stdout=log,
                when_orphaned=signal.SIGKILL,
            )
            try:
                yield process.pid
            finally:
                stop(process, signal.SIGTERM, within_seconds=20)


async def post(connection: Connection, room: Room) -> None:
    path = f"{API}/message/chatroom/{room.id}/message"
    await connection.ask("POST", path, {"prompt": PROMPT}, room.owner.headers)

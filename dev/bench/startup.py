"""The start of a warm `make run` until the first answer to a send.

The idle memory is measured too.
"""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.bench.support.connection import Connection
from dev.bench.support.people import API, open_room, send, sign_in
from dev.bench.support.program import START_SECONDS, VAR, free_ports
from dev.bench.support.table import Row
from dev.bench.support.usage import family, resident_bytes
from dev.environment import BASE_DIR
from dev.servers.processes import spawn, stop

PROCESSES = {"web": "uvicorn", "worker": "worker", "beat": "beat"}
STORES = ("DATABASE_URL", "DB_HOST", "REDIS_URL", "GOOGLE_API_KEY", "GEMINI_API_BASE")
SETTLE_SECONDS = 10


def measure(*, rounds: int) -> list[Row]:
    figures: dict[str, list[float]] = {"accepted": [], "complete": [], "memory": []}
    try:
        start_often(figures, rounds=rounds)
    finally:
        shutil.rmtree(VAR, ignore_errors=True)
    return [
        Row("start of make run, warm, until a send is accepted", "s", figures["accepted"]),
        Row("start of make run, warm, until its reply is complete", "s", figures["complete"]),
        Row("memory of web, worker and beat, idle", "MB", figures["memory"]),
    ]


def start_often(figures: dict[str, list[float]], *, rounds: int) -> None:
    with running():
        pass  # Cold: this start makes the database.
    for number in range(rounds):
        started = time.monotonic()
        with running() as (port, pid):
            accepted, complete = asyncio.run(first_reply(port, number))
            figures["accepted"].append(accepted - started)
            figures["complete"].append(complete - started)
            time.sleep(SETTLE_SECONDS)
            figures["memory"].append(sum(resident_bytes(each) for each in processes(pid)) / 2**20)


@contextmanager
def running() -> Iterator[tuple[int, int]]:
    """Run `make run` on data of earlier starts; yield the port and the process id."""
    [port] = free_ports(1)
    environment = {name: value for name, value in os.environ.items() if name not in STORES}
    VAR.mkdir(parents=True, exist_ok=True)
    with (VAR / "run.log").open("wb") as log:
        process = spawn(
            [sys.executable, "-m", "dev.run", "--var", str(VAR / "run")],
            env={**environment, "PORT": str(port), "TRUSTED_PROXY_COUNT": "1"},
            cwd=BASE_DIR,
            stdout=log,
            when_orphaned=signal.SIGTERM,
        )
        try:
            asyncio.run(until_alive(port))
            yield port, process.pid
        finally:
            stop(process, signal.SIGINT, within_seconds=60)


async def until_alive(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            async with Connection(port) as connection:
                await connection.ask("GET", "/livez")
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)


async def first_reply(port: int, number: int) -> tuple[float, float]:
    """Return after an accepted send of a new person and the complete reply."""
    async with Connection(port) as connection:
        person = await sign_in(connection, number)
        sent = await send(connection, await open_room(connection, person))
        accepted = time.monotonic()
        path = f"{API}/message/{sent.reply_id}?wait=30"
        reply = await connection.ask("GET", path, headers=person.headers)
        if reply["status"] != "complete":
            raise RuntimeError(f"the first reply is {reply['status']}")
        return accepted, time.monotonic()


def processes(pid: int) -> list[int]:
    """Find the process ids of web, worker and beat."""
    commands = {
        each: Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0") for each in family(pid)
    }
    return [
        next(each for each, words in commands.items() if word.encode() in words)
        for word in PROCESSES.values()
    ]

"""The cost of idle streams: memory of each, and the API's time meanwhile."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe

from dev.bench.support.connection import Connection
from dev.bench.support.people import API, Person, Sent
from dev.bench.support.program import Program
from dev.bench.support.table import Row
from dev.bench.support.usage import open_files, resident_bytes

OPEN_SECONDS = 180
# The other side of a closed connection sees the end a moment later.
CLOSE_SECONDS = 30
OPENED_TOGETHER = 50


def measure(program: Program, *, rounds: int, streams: int, seconds: float) -> list[Row]:
    """Measure without a worker: the replies stay queued and the streams idle."""
    sent: list[Sent] = []
    while len(sent) < streams:
        sent += program.send(program.rooms(min(len(program.people), streams - len(sent))))
    figures: dict[str, list[float]] = defaultdict(list)
    asyncio.run(ask_for(program.port, sent[0].owner, seconds=3))
    empty = resident_bytes(program.web_pid)
    for number in range(rounds):
        for is_open in (False, True) if number % 2 else (True, False):
            side = "with" if is_open else "without"
            if is_open:
                with held_open(program, sent):
                    each = (resident_bytes(program.web_pid) - empty) / len(sent)
                    figures["bytes"].append(each / 1024)
                    times = asyncio.run(ask_for(program.port, sent[0].owner, seconds=seconds))
            else:
                times = asyncio.run(ask_for(program.port, sent[0].owner, seconds=seconds))
            figures[side].append(1000 * statistics.median(times))
    what = f"GET user/me, p50, beside {streams} idle streams"
    return [
        Row(f"memory of an idle stream, {streams} on one web process", "KB", figures["bytes"]),
        Row("GET user/me, p50, without streams", "ms", figures["without"]),
        Row.compared(what, "ms", figures["with"], "without", figures["without"]),
    ]


async def ask_for(port: int, person: Person, *, seconds: float) -> list[float]:
    times: list[float] = []
    ends_at = time.perf_counter() + seconds
    async with Connection(port) as connection:
        while (begun := time.perf_counter()) < ends_at:
            await connection.ask("GET", f"{API}/user/me", headers=person.headers)
            times.append(time.perf_counter() - begun)
    return times


@contextmanager
def held_open(program: Program, sent: list[Sent]) -> Iterator[None]:
    """Open streams in another process until the block ends, and wait for web's closing."""
    spawning = get_context("spawn")
    ours, theirs = spawning.Pipe()
    reader = spawning.Process(target=hold, args=(program.port, sent, theirs), daemon=True)
    reader.start()
    theirs.close()
    try:
        if not ours.poll(OPEN_SECONDS):
            raise TimeoutError(f"{len(sent)} streams were not open after {OPEN_SECONDS} s")
        ours.recv()
        files_open = open_files(program.web_pid)
        yield
    finally:
        ours.close()
        reader.join(CLOSE_SECONDS)
        reader.kill()
    deadline = time.monotonic() + CLOSE_SECONDS
    while open_files(program.web_pid) > files_open - len(sent) * 0.9:
        if time.monotonic() > deadline:
            raise TimeoutError("web keeps streams open whose readers have left")
        time.sleep(0.1)


def hold(port: int, sent: list[Sent], pipe: Pipe) -> None:
    """Open the streams in a separate process, report, and read until the pipe closes."""
    asyncio.run(_hold(port, sent, pipe))


async def _hold(port: int, sent: list[Sent], pipe: Pipe) -> None:
    turn = asyncio.Semaphore(OPENED_TOGETHER)
    answered = asyncio.Semaphore(0)

    async def read(each: Sent) -> None:
        async with Connection(port) as connection:
            async with turn:
                await connection.begin("GET", each.stream_path, headers=each.owner.headers)
            answered.release()
            async for _ in connection.rest():
                pass

    readers = [asyncio.create_task(read(each)) for each in sent]
    for _ in sent:
        await answered.acquire()
    pipe.send("open")
    closed = asyncio.get_running_loop().run_in_executor(None, pipe.poll, None)
    await closed
    for reader in readers:
        reader.cancel()

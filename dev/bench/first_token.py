"""The delay of the first text through the program, beside Gemini itself.

Both sides are the same client against the same fake, from the request with the prompt to the
first text. Through the program these are the send, its 202, the request for the stream and the
first `reply.delta`.
"""

import asyncio
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dev.bench.support.connection import Connection
from dev.bench.support.people import API, PROMPT, Room
from dev.bench.support.program import STANDARD, Program
from dev.bench.support.table import Row
from dev.bench.support.usage import cpu_seconds
from tests.support.fakes.gemini import Answer

MODEL = "gemini-3.5-flash-lite"
FIRST_TOKEN_SECONDS = 0.3
CHUNKS = ["".join(f"token{8 * chunk + word} " for word in range(8)) for chunk in range(25)]
CHUNK_SECONDS = 0.08
STREAM_SECONDS = FIRST_TOKEN_SECONDS + len(CHUNKS) * CHUNK_SECONDS

Times = dict[str, list[float]]
Reading = Callable[[Connection, int], Awaitable[dict[str, float]]]


@dataclass(frozen=True, slots=True)
class Sizes:
    streams: int
    replies_each: int


def measure(program: Program, *, rounds: int, sizes: Sizes) -> list[Row]:
    program.answer_with(
        Answer(first_delay=FIRST_TOKEN_SECONDS, chunks=CHUNKS, chunk_delay=CHUNK_SECONDS)
    )
    figures: Times = defaultdict(list)
    with program.worker(STANDARD) as worker_pid:
        for number in range(rounds):
            # New rooms each round, or the context would grow from round to round.
            rooms = program.rooms(sizes.streams)
            ways: dict[str, tuple[int, Reading]] = {
                "direct": (program.gemini_port, read_from_gemini),
                "ours": (program.port, reading_of(rooms)),
            }
            for side in ways if number % 2 else reversed(ways):
                port, reading = ways[side]
                before = cpu_seconds(program.web_pid), cpu_seconds(worker_pid)
                steady = asyncio.run(staggered(port, reading, sizes, seed=number))
                replies = sizes.streams * sizes.replies_each
                after = cpu_seconds(program.web_pid), cpu_seconds(worker_pid)
                for process, earlier, later in zip(("web", "worker"), before, after, strict=True):
                    figures[f"{side} {process} cpu"].append(1000 * (later - earlier) / replies)
                burst = asyncio.run(at_once(port, reading, sizes))
                for kind, times in (("steady", steady), ("burst", burst)):
                    for what, seconds in times.items():
                        keep_percentiles(figures, f"{side} {kind} {what}", seconds)
    return rows(figures, sizes)


def reading_of(rooms: Sequence[Room]) -> Reading:
    async def read(connection: Connection, number: int) -> dict[str, float]:
        """Measure seconds to the 202 and to the first text of one reply."""
        room = rooms[number]
        path = f"{API}/message/chatroom/{room.id}/message"
        begun = time.perf_counter()
        sent = await connection.ask("POST", path, {"prompt": PROMPT}, room.owner.headers)
        accepted = time.perf_counter()
        first = 0.0
        path = f"{API}/message/{sent['data']['reply']['id']}/stream"
        async for piece in connection.stream("GET", path, headers=room.owner.headers):
            if not first and b"event: reply.delta" in piece:
                first = time.perf_counter()
        return {"accepted": accepted - begun, "first": first - begun}

    return read


async def read_from_gemini(connection: Connection, number: int) -> dict[str, float]:
    path = f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
    body = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}
    begun = time.perf_counter()
    first = 0.0
    async for _ in connection.stream("POST", path, body):
        first = first or time.perf_counter()
    return {"first": first - begun}


async def staggered(port: int, reading: Reading, sizes: Sizes, *, seed: int) -> Times:
    """Keep `streams` open all the time, begun at random moments."""
    chance = random.Random(seed)  # noqa: S311 the same starts for both sides
    starts = [chance.uniform(0, STREAM_SECONDS) for _ in range(sizes.streams)]
    return await read_all(port, reading, starts, times=sizes.replies_each)


async def at_once(port: int, reading: Reading, sizes: Sizes) -> Times:
    """Begin all streams in the same instant."""
    return await read_all(port, reading, [0.5] * sizes.streams, times=1)


async def read_all(port: int, reading: Reading, starts: list[float], *, times: int) -> Times:
    found: Times = defaultdict(list)

    async def client(number: int, start: float) -> None:
        async with Connection(port) as connection:
            await asyncio.sleep(start)
            for _ in range(times):
                for what, seconds in (await reading(connection, number)).items():
                    found[what].append(seconds)

    await asyncio.gather(*(client(number, start) for number, start in enumerate(starts)))
    return found


def keep_percentiles(figures: Times, what: str, seconds: list[float]) -> None:
    hundredths = statistics.quantiles(seconds, n=100, method="inclusive")
    figures[f"{what} p50"].append(1000 * hundredths[49])
    figures[f"{what} p99"].append(1000 * hundredths[98])


def rows(figures: Times, sizes: Sizes) -> list[Row]:
    def added(kind: str, percentile: str) -> Row:
        pairs = zip(
            figures[f"ours {kind} first {percentile}"],
            figures[f"direct {kind} first {percentile}"],
            strict=True,
        )
        ways = {"steady": "streams open at once", "burst": "sends in one instant"}
        what = f"added time to the first token, {sizes.streams} {ways[kind]}, {percentile}"
        return Row(what, "ms", [ours - direct for ours, direct in pairs])

    def plain(what: str, name: str) -> Row:
        return Row(what, "ms", figures[name])

    of_which: Any = [
        plain(f"of which until the 202, {percentile}", f"ours steady accepted {percentile}")
        for percentile in ("p50", "p99")
    ]
    return [
        added("steady", "p50"),
        added("steady", "p99"),
        *of_which,
        plain("first token from the fake itself, p50", "direct steady first p50"),
        plain("first token from the fake itself, p99", "direct steady first p99"),
        added("burst", "p50"),
        added("burst", "p99"),
        plain("CPU of web, a reply sent and streamed to a reader", "ours web cpu"),
        plain("CPU of the worker, the same replies", "ours worker cpu"),
    ]

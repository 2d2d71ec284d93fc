"""The cost of a send and of common reads, beside the control's.

Each side has one web process.
"""

import asyncio
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dev.bench.support.connection import Connection
from dev.bench.support.control import Control
from dev.bench.support.people import API, FIRST_MOBILE, PROMPT, Room
from dev.bench.support.program import Program
from dev.bench.support.table import Row
from dev.bench.support.usage import cpu_seconds

CONNECTIONS = 16
ROOMS = MESSAGES = 50
SEND = "message/chatroom/{}/message"


@dataclass(frozen=True, slots=True)
class Side:
    """A program of the two: web process, rooms and paths to read."""

    port: int
    web_pid: int
    rooms: Sequence[Room]
    reader: Room
    reads: dict[str, str]


@dataclass(frozen=True, slots=True)
class Sizes:
    sends: int = 800
    reads: int = 300


def measure(program: Program, control: Control, *, rounds: int, sizes: Sizes) -> list[Row]:
    sides = {"ours": our_side(program), "control": control_side(control)}
    figures: dict[str, list[float]] = defaultdict(list)
    for number in range(-1, rounds):
        # As autovacuum does each minute, since both sides began with empty tables.
        for database in (program.database, control.database):
            database.execute("ANALYZE")
        for name in sides if number % 2 else reversed(sides):
            found = one_round(sides[name], sizes)
            if number >= 0:  # The first round warms up.
                for what, figure in found.items():
                    figures[f"{name} {what}"].append(figure)

    def compared(what: str, unit: str, label: str) -> Row:
        ours, others = figures[f"ours {what}"], figures[f"control {what}"]
        return Row.compared(label, unit, ours, "the control's", others)

    return [
        compared("rate", "/s", "accepted sends a second"),
        compared("cpu", "ms", "CPU of web, a send"),
        compared("list", "ms", f"list of {ROOMS} rooms"),
        compared("page", "ms", f"page of {MESSAGES} messages"),
        compared("list cpu", "ms", f"CPU of web, list of {ROOMS} rooms"),
        compared("page cpu", "ms", f"CPU of web, page of {MESSAGES} messages"),
    ]


def our_side(program: Program) -> Side:
    """Make the side of the program; the first person reads the seeded, newest room."""
    # Besides, everybody gets a room below.
    for rooms, messages in ((ROOMS - 2, 0), (1, MESSAGES)):
        made = ("--mobile", f"+91{FIRST_MOBILE}", "--rooms", str(rooms))
        program.manage("seed_demo", "--skip-checks", *made, "--messages", str(messages))
    reader = program.people[0]

    async def newest() -> str:
        async with Connection(program.port) as connection:
            rooms = await connection.ask("GET", f"{API}/chatroom/", headers=reader.headers)
        return str(rooms[0]["id"])

    room = Room(reader, asyncio.run(newest()))
    reads = {"list": f"{API}/chatroom/", "page": f"{API}/{SEND.format(room.id)}"}
    rooms = program.rooms(len(program.people))[1:]
    return Side(program.port, program.web_pid, rooms, room, reads)


def control_side(control: Control) -> Side:
    reader, *others = control.people
    room = control.rooms([reader], each=ROOMS)[0]
    # As long as the messages of seed_demo.
    control.fill(room, [PROMPT * 4] * MESSAGES)
    reads = {"list": f"{API}/chatroom/", "page": f"{API}/chatroom/{room.id}"}
    return Side(control.port, control.web_pid, control.rooms(others), room, reads)


def one_round(side: Side, sizes: Sizes) -> dict[str, float]:
    before, started = cpu_seconds(side.web_pid), time.perf_counter()
    asyncio.run(send_all(side, sizes.sends))
    took = time.perf_counter() - started
    found = {
        "rate": sizes.sends / took,
        "cpu": 1000 * (cpu_seconds(side.web_pid) - before) / sizes.sends,
    }
    for what, path in side.reads.items():
        before = cpu_seconds(side.web_pid)
        found[what] = asyncio.run(median_read(side, path, sizes.reads))
        found[f"{what} cpu"] = 1000 * (cpu_seconds(side.web_pid) - before) / sizes.reads
    return found


async def send_all(side: Side, count: int, *, connections: int = CONNECTIONS) -> None:
    """Measure sends over several connections, to the rooms in turn."""
    turns: Iterator[Room] = itertools.islice(itertools.cycle(side.rooms), count)

    async def work() -> None:
        async with Connection(side.port) as connection:
            for room in turns:
                path = f"{API}/{SEND.format(room.id)}"
                await connection.ask("POST", path, {"prompt": PROMPT}, room.owner.headers)

    await asyncio.gather(*(work() for _ in range(connections)))


async def median_read(side: Side, path: str, count: int) -> float:
    """Measure milliseconds, reads in a row."""
    taken = []
    async with Connection(side.port) as connection:
        for _ in range(count):
            started = time.perf_counter()
            await connection.ask("GET", path, headers=side.reader.owner.headers)
            taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)

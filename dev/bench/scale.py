"""Measure calls as rooms and messages become many: `make bench ARGS=scale`, on Linux.

Two users are in the same database. The large user has many rooms, and very many messages in a room.
The small user has few of both. The same calls are made for both in turns, over one connection, for
several rounds. The table gives the medians, and ratios within a round. Then come searches and an
export of the large user. Everything runs on loopback in a scratch folder. Do nothing else on the
machine meanwhile.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from dev.bench.support.connection import Connection
from dev.bench.support.people import API, FIRST_MOBILE, PROMPT, Person, open_room
from dev.bench.support.program import Program
from dev.bench.support.table import Row, as_json, as_markdown, machine
from dev.bench.support.usage import peak_bytes, reset_peak

PAGE = 50
MESSAGES_IN_OTHER_ROOMS = 2
# Runs inside the program, since the program has the key of the cursors.
LOOK_ROUND = """
import json
from collections import Counter
from random import Random
from accounts.models import User
from chatrooms.models import Chatroom
from chatrooms.list_pages import cursor_at as room_cursor
from messaging.models import Message
from messaging.management.demo_data import made_up_texts
from messaging.api.messages import cursor_at as message_cursor
user = User.objects.get(mobile={mobile!r})
rooms = Chatroom.objects.owned_by(user).for_list(archived=False)
messages = Message.objects.filter(chatroom=rooms[0]).order_by("id")
texts = made_up_texts(Random(7))
words = Counter(word for text in texts for word in set(text.split())).most_common()
print(json.dumps({{
    "room": str(rooms[0].pk),
    "rooms": [room_cursor(rooms[place].position, user=user) for place in {rooms}],
    "messages": [message_cursor(messages[place]) for place in {messages}],
    "words": words,
    "texts": len(texts),
}}))
"""


@dataclass(frozen=True, slots=True)
class Size:
    rooms: int
    messages: int

    def __str__(self) -> str:
        return f"{self.rooms:,} rooms, {self.messages:,} messages in one"


@dataclass(frozen=True, slots=True)
class Side:
    """A user of the two, with the room of many messages and paths to read."""

    person: Person
    room: str
    reads: dict[str, str]
    queries: dict[str, str]


FULL = Size(100_000, 1_000_000), Size(100, 1_000)
SMALL = Size(2_000, 20_000), Size(100, 1_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--small", action="store_true", help="a fraction of it: does it all run?")
    options = parser.parse_args()
    where = machine()
    large, small = SMALL if options.small else FULL
    with Program(people=2) as program:
        rows = measure(program, large, small, rounds=2 if options.small else options.rounds)
    if options.json:
        print(json.dumps(as_json(rows, where), indent=2))
    else:
        print(as_markdown(rows), *(f"{name}: {value}" for name, value in where.items()), sep="\n")


def measure(program: Program, large: Size, small: Size, *, rounds: int) -> list[Row]:
    sides = [make_side(program, number, size) for number, size in enumerate((large, small))]
    program.database.execute("VACUUM ANALYZE")
    say("Reads and sends")
    figures: dict[str, list[list[float]]] = defaultdict(lambda: [[], []])
    for number in range(rounds):
        for place in (0, 1) if number % 2 else (1, 0):
            for what, milliseconds in asyncio.run(one_round(program.port, sides[place])).items():
                figures[what][place].append(milliseconds)
    rows = [
        Row.compared(what, "ms", of_large, f"that of {small}", of_small)
        for what, (of_large, of_small) in figures.items()
    ]
    say("Searches")
    rows += asyncio.run(searches(program.port, sides[0], rounds=rounds))
    say("Exports")
    for kind in ("json", "markdown"):
        rows += exported(program, sides[0], kind)
    taken = [asyncio.run(deletion(program.port, side)) for side in sides]
    rows.append(Row.compared("delete of the room", "ms", taken[:1], f"that of {small}", taken[1:]))
    return rows


def make_side(program: Program, number: int, size: Size) -> Side:
    """Give a user rooms; the newest has the many messages."""
    say(f"Making {size}")
    mobile = f"+91{FIRST_MOBILE + number}"
    for rooms, messages in ((size.rooms - 1, MESSAGES_IN_OTHER_ROOMS), (1, size.messages)):
        made = ("--mobile", mobile, "--rooms", str(rooms), "--messages", str(messages))
        program.manage("seed_demo", "--skip-checks", *made)
    code = LOOK_ROUND.format(
        mobile=mobile,
        rooms=[PAGE - 1, size.rooms // 2, size.rooms - PAGE - 1],
        messages=[size.messages // 2, PAGE],
    )
    seen = json.loads(program.manage("shell", "--verbosity=0", "--command", code))
    return Side(
        program.people[number],
        seen["room"],
        reads(seen),
        queries(dict(seen["words"]), seen["texts"], size),
    )


def reads(seen: dict[str, Any]) -> dict[str, str]:
    second, middle, last = (f"{API}/chatroom/?cursor={cursor}" for cursor in seen["rooms"])
    page = f"{API}/message/chatroom/{seen['room']}/message"
    halfway, early = seen["messages"]
    return {
        "list, first page": f"{API}/chatroom/",
        "list, second page": second,
        "list, a page in the middle": middle,
        "list, last page": last,
        "room with its latest messages": f"{API}/chatroom/{seen['room']}",
        "messages, latest page": page,
        "messages, a page in the middle": f"{page}?before={halfway}",
        "messages, the page that follows": f"{page}?after={halfway}",
        "messages, the first page ever": f"{page}?before={early}",
    }


def queries(words: dict[str, int], texts: int, size: Size) -> dict[str, str]:
    """List words and their count of messages, from none to a large part of all."""
    by_frequency = list(words)
    shares = {
        "common": by_frequency[0],
        "frequent": next(word for word in words if words[word] <= texts / 20),
        "middling": next(word for word in words if words[word] <= texts / 100),
        "scarce": next(word for word in words if words[word] <= texts / 1000),
        "rare": by_frequency[-1],
    }
    named = {
        f"a {kind} word, in {size.messages * words[word] // texts:,} messages": word
        for kind, word in shares.items()
    }
    return {
        "a word that is nowhere": "zzzzz",
        "a word in one message": f"n{size.messages // 3}",
        **named,
        "two words, of which one is common": f"{shares['middling']}+{shares['common']}",
    }


async def one_round(port: int, side: Side) -> dict[str, float]:
    """Measure the median milliseconds of each call."""
    headers = side.person.headers
    async with Connection(port) as connection:

        def read(path: str) -> Callable[[], Awaitable[object]]:
            return lambda: connection.ask("GET", path, headers=headers)

        taken = {what: await median_of(read(path), 40) for what, path in side.reads.items()}
        sending = f"{API}/message/chatroom/{side.room}/message"
        taken["send"] = await median_of(
            lambda: connection.ask("POST", sending, {"prompt": PROMPT}, headers), 20
        )
    return taken


async def median_of(call: Callable[[], Awaitable[object]], times: int) -> float:
    """Measure the median milliseconds of `times` calls, after a warm-up call."""
    await call()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


async def deletion(port: int, side: Side) -> float:
    """Measure milliseconds until the answer.

    A deletion cannot be repeated, so an empty room is deleted first to warm up."""
    async with Connection(port) as connection:
        other = await open_room(connection, side.person)
        for room in (other.id, side.room):
            started = time.perf_counter()
            path = f"{API}/chatroom/{room}"
            await connection.begin("DELETE", path, headers=side.person.headers)
        return 1000 * (time.perf_counter() - started)


async def searches(port: int, side: Side, *, rounds: int) -> list[Row]:
    figures: dict[str, list[float]] = defaultdict(list)
    async with Connection(port) as connection:
        for _ in range(rounds):
            for what, query in side.queries.items():
                path = f"{API}/chatroom/?q={query}"

                async def search(path: str = path) -> object:
                    return await connection.ask("GET", path, headers=side.person.headers)

                figures[what].append(await median_of(search, 10))
    medians = [statistics.median(of_round) for of_round in zip(*figures.values(), strict=True)]
    return [
        Row(f"search, median of these {len(figures)}", "ms", medians),
        *(Row(f"search for {what}", "ms", taken) for what, taken in figures.items()),
    ]


def exported(program: Program, side: Side, kind: str) -> list[Row]:
    """Measure the peak growth of web during an export, and the duration."""
    reset_peak(program.web_pid)
    before, started = peak_bytes(program.web_pid), time.monotonic()
    size = asyncio.run(length_of_export(program.port, side, kind))
    seconds = time.monotonic() - started
    grown = (peak_bytes(program.web_pid) - before) / 2**20
    return [
        Row(f"export as {kind}, growth of web's peak memory", "MB", [grown]),
        Row(f"export as {kind}, its length", "MB", [size / 2**20]),
        Row(f"export as {kind}, time", "s", [seconds]),
    ]


async def length_of_export(port: int, side: Side, kind: str) -> int:
    path, size = f"{API}/chatroom/{side.room}/export?as={kind}", 0
    async with Connection(port) as connection:
        async for piece in connection.stream("GET", path, headers=side.person.headers):
            size += len(piece)
    return size


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""Measure the cost of one hostile user for another: `make bench ARGS=attacks`, on Linux.

Another user asks `GET /user/me`, one call after another, without an attack and during each attack.
Everything runs on loopback against fakes, in a scratch folder. The attackers run in a separate
process, bounded in number and time. Do nothing else on the machine meanwhile.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from urllib.request import Request, urlopen

from dev.bench.support.connection import Connection
from dev.bench.support.people import API, PROMPT, Person, for_each, open_room, sign_in
from dev.bench.support.program import VAR, free_ports, wait_for_port
from dev.bench.support.table import Row, as_json, as_markdown, machine
from dev.environment import BASE_DIR
from dev.servers.processes import spawn, stop
from dev.servers.stack import Stack
from tests.support.fakes.gemini import Answer

PASSWORD = "a long password of the bench"  # noqa: S105 nobody's
ATTACKERS = 32
SUBSCRIBERS = 24
SECONDS = 10.0
# Between two calls of the other user.
PAUSE_SECONDS = 0.02
# Between an answer and the next call of an attacker. 32 attackers make some 100 calls a second,
# half of the limit of deploy/nginx.conf for one address.
ATTACK_PAUSE_SECONDS = 0.25
# The limit of another user's median, beside the quiet median.
MOST_RATIO = 3.0

Act = Callable[[Connection, Person, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """Call of each of `clients`, on separate connections and as the client's person."""

    name: str
    clients: int
    act: Act


async def subscribe(connection: Connection, person: Person, number: int) -> None:
    await connection.ask("POST", f"{API}/subscription/subscribe/pro", {}, person.headers)


async def log_in(connection: Connection, person: Person, number: int) -> None:
    credentials = {"mobile": person.mobile, "password": PASSWORD}
    address = {"X-Forwarded-For": person.headers["X-Forwarded-For"]}
    await connection.ask("POST", f"{API}/auth/login", credentials, address)


async def send_and_stop(connection: Connection, person: Person, number: int) -> None:
    room = await open_room(connection, person)
    path = f"{API}/message/chatroom/{room.id}/message"
    sent = await connection.ask("POST", path, {"prompt": PROMPT}, person.headers)
    await asyncio.sleep(1)
    reply = sent["data"]["reply"]["id"]
    await connection.ask("POST", f"{API}/message/{reply}/stop", {}, person.headers)


async def ask_for_code(connection: Connection, person: Person, number: int) -> None:
    address = {"X-Forwarded-For": person.headers["X-Forwarded-For"]}
    await connection.ask("POST", f"{API}/auth/send-otp", {"mobile": "+919800000000"}, address)


ATTACKS = [
    Attack("5: subscribe, Stripe hangs", SUBSCRIBERS, subscribe),
    Attack("5: right logins", ATTACKERS, log_in),
    Attack("6: send and stop after a second", ATTACKERS, send_and_stop),
    Attack("20: codes that are refused", ATTACKERS, ask_for_code),
]


def attack(port: int, number: int, people: Sequence[Person], seconds: float) -> Counter[str]:
    """Run one attack for `seconds` and count the answers by status."""
    chosen = ATTACKS[number]
    answers: Counter[str] = Counter()

    async def client(number: int) -> None:
        person = people[number]
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            with suppress(OSError, asyncio.IncompleteReadError):
                async with Connection(port) as connection:
                    while time.monotonic() < ends_at:
                        try:
                            await chosen.act(connection, person, number)
                            answers["2xx"] += 1
                        except RuntimeError as refused:
                            answers[str(refused).split(": ")[1][:3]] += 1
                        await asyncio.sleep(ATTACK_PAUSE_SECONDS)

    async def together() -> None:
        await asyncio.gather(*(client(number) for number in range(chosen.clients)))

    asyncio.run(together())
    return answers


def median_of_another(port: int, person: Person, seconds: float) -> float:
    """Measure the median of GET /user/me in milliseconds, refused calls included."""
    refused = 0

    async def calls() -> list[float]:
        nonlocal refused
        taken = []
        ends_at = time.monotonic() + seconds
        async with Connection(port) as connection:
            while time.monotonic() < ends_at:
                started = time.perf_counter()
                try:
                    await connection.ask("GET", f"{API}/user/me", headers=person.headers)
                except RuntimeError:
                    refused += 1
                taken.append(1000 * (time.perf_counter() - started))
                await asyncio.sleep(PAUSE_SECONDS)
        return taken

    taken = asyncio.run(calls())
    if refused:
        print(f"{refused} of {len(taken)} calls of the other user were refused", file=sys.stderr)
    return statistics.median(taken)


async def set_password(connection: Connection, person: Person) -> Person:
    body = {"new_password": PASSWORD}
    await connection.ask("POST", f"{API}/auth/change-password", body, person.headers)
    return person


def measure(*, rounds: int, seconds: float) -> list[Row]:
    figures: dict[str, list[float]] = {"quiet": []}
    figures |= {each.name: [] for each in ATTACKS}
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, VAR, ignore_errors=True)
        VAR.mkdir(parents=True)
        # Connections wait in the backlog without an answer.
        hanging = cleanup.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        port, gemini_port = free_ports(2)
        gemini = spawn(
            [sys.executable, "-m", "tests.support.fakes.gemini", "--port", str(gemini_port)],
            env=os.environ,
            cwd=BASE_DIR,
            stdout=cleanup.enter_context((VAR / "gemini.log").open("wb")),
            when_orphaned=signal.SIGKILL,
        )
        cleanup.callback(stop, gemini, signal.SIGTERM, within_seconds=5)
        wait_for_port(gemini_port)
        answer_slowly(gemini_port)
        lines: list[str] = []
        stack = cleanup.enter_context(
            Stack(
                var=VAR / "run",
                environ={**os.environ, **settings(gemini_port, hanging.getsockname()[1])},
                port=port,
                output=lambda name, line: lines.append(line),
            )
        )
        other, *people = for_each(port, range(ATTACKERS + 1), sign_in)
        people = for_each(port, people, set_password, connections=1)
        # Codes are echoed only in development. DEBUG costs each request some milliseconds.
        stack.restart("web", DEBUG="false", OTP_ECHO="false")
        for _ in range(rounds):
            figures["quiet"].append(median_of_another(port, other, seconds))
            for number, chosen in enumerate(ATTACKS):
                with ProcessPoolExecutor(1) as attackers:
                    answers = attackers.submit(attack, port, number, people, seconds + 1)
                    time.sleep(0.5)
                    figures[chosen.name].append(median_of_another(port, other, seconds))
                    print(f"{chosen.name}: {dict(answers.result())}", file=sys.stderr)
    quiet = figures["quiet"]
    return [
        Row("GET /user/me of another user, quiet", "ms", quiet),
        *(
            Row.compared(f"… during {each.name}", "ms", figures[each.name], "quiet", quiet)
            for each in ATTACKS
        ),
    ]


def answer_slowly(gemini_port: int) -> None:
    """Delay the fake's answers by five seconds: a stop comes before any text."""
    body = json.dumps(asdict(Answer(first_delay=5.0))).encode()
    request = Request(f"http://127.0.0.1:{gemini_port}/_control/default", body, method="POST")  # noqa: S310
    urlopen(request).close()  # noqa: S310 loopback


def settings(gemini_port: int, stripe_port: int) -> dict[str, str]:
    return {
        # Every person has another address.
        "TRUSTED_PROXY_COUNT": "1",
        "SMS_DAILY_BUDGET": "1000000",
        # Codes come only in answers, and the console backend needs DEBUG.
        "SMS_BACKEND": "tests.support.fakes.sms.Outbox",
        "GOOGLE_API_KEY": "bench",
        "GEMINI_API_BASE": f"http://127.0.0.1:{gemini_port}",
        "GEMINI_BACKEND": "google-genai",
        "STRIPE_API_BASE": f"http://127.0.0.1:{stripe_port}",
        "STRIPE_SECRET_KEY": "sk_test_BenchBenchBenchBenchBenc",
        "STRIPE_PRO_PRICE_ID": "price_bench",
        "STRIPE_WEBHOOK_SECRET": "whsec_bench",
        "DATABASE_URL": "",
        "DB_HOST": "",
        "REDIS_URL": "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench attacks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--trial", action="store_true", help="one short round: does it all run?")
    options = parser.parse_args()
    where = machine()
    rows = measure(
        rounds=1 if options.trial else options.rounds, seconds=2.0 if options.trial else SECONDS
    )
    if options.json:
        print(json.dumps(as_json(rows, where), indent=2))
    else:
        print(as_markdown(rows), *(f"{name}: {value}" for name, value in where.items()), sep="\n")
    missed = [row.what for row in rows if row.ratios and statistics.median(row.ratios) > MOST_RATIO]
    if missed:
        sys.exit(f"over {MOST_RATIO} times the quiet median: {', '.join(missed)}")


if __name__ == "__main__":
    main()

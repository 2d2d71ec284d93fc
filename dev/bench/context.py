"""Measure how often the prefix of a long chat changes: `make bench ARGS=context`, on Linux.

One person sends prompts over the API until the context is over GEMINI_CONTEXT_TOKENS. The following
turns are measured. The fake Gemini counts cached tokens by the documented rule of the implicit
cache. A prefix of an earlier request is cached from 4,096 tokens on. The figures are counts and
not times, so one round suffices.
"""

import argparse
import json
from typing import Any
from urllib.request import Request, urlopen

from dev.bench.support.connection import Connection
from dev.bench.support.people import API, Room, for_each
from dev.bench.support.program import Program, Worker
from tests.support.fakes.gemini import Answer

CACHE_MINIMUM = 4096
# About 300 tokens each, so 600 a turn.
SENTENCE = "A river carries sand and pebbles from the mountains down to the sea. "
PROMPT, ANSWER = SENTENCE * 17, SENTENCE * 17
# US dollars for a million tokens of gemini-3.5-flash-lite, the default model.
INPUT_PRICE, CACHED_PRICE = 0.30, 0.03
USAGE_SQL = """
SELECT prompt_tokens, cached_tokens FROM messaging_message
WHERE chatroom_id = %s AND sender = 'gemini' AND context_truncated ORDER BY id LIMIT %s
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench context", description=__doc__)
    parser.add_argument("--turns", type=int, default=50, help="turns over the budget")
    turns = parser.parse_args().turns
    worker = Worker("threads", 2)
    with Program(people=4) as program, program.worker(worker):
        program.answer_with(Answer(chunks=[ANSWER]))
        control(program, "cache_minimum", CACHE_MINIMUM)
        [room] = program.rooms(1)
        usage: list[tuple[int, int]] = []
        number = 0
        while len(usage) < turns:
            for_each(program.port, [(room, f"{number}. {PROMPT}")], send, connections=1)
            program.wait_for_replies(seconds=30)
            usage = program.database.execute(USAGE_SQL, [room.id, turns]).fetchall()
            number += 1
        sent = [each["body"]["contents"] for each in control(program, "requests")]
    # With the last request before the measured turns.
    print(as_markdown(sent[-turns - 1 :], usage))


async def send(connection: Connection, what: tuple[Room, str]) -> None:
    room, prompt = what
    path = f"{API}/message/chatroom/{room.id}/message"
    await connection.ask("POST", path, {"prompt": prompt}, room.owner.headers)


def control(program: Program, action: str, sent: Any = None) -> Any:
    url = f"{program.gemini_url}/_control/{action}"
    with urlopen(Request(url, json.dumps(sent).encode(), method="POST")) as answer:  # noqa: S310
        return json.load(answer)


def as_markdown(sent: list[list[Any]], usage: list[tuple[int, int]]) -> str:
    changes = sum(now[: len(before)] != before for before, now in zip(sent, sent[1:], strict=False))
    tokens, cached = (sum(column) for column in zip(*usage, strict=True))
    cost = ((tokens - cached) * INPUT_PRICE + cached * CACHED_PRICE) / 1_000_000
    lines = {
        f"changes of the prefix in {len(usage)} turns": f"{changes}",
        "requests with cached tokens": f"{sum(each > 0 for _, each in usage)}",
        "input tokens": f"{tokens:,}",
        "of which cached": f"{cached:,} ({cached / tokens:.0%})",
        "cost of the input": f"${cost:.3f}",
        "the same without a cache": f"${tokens * INPUT_PRICE / 1_000_000:.3f}",
    }
    return "\n".join(
        ["| figure | value |", "|---|---|", *(f"| {k} | {v} |" for k, v in lines.items())]
    )


if __name__ == "__main__":
    main()

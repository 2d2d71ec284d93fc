"""Measures how replies are made and streamed: `make bench-replies`, on Linux.

Everything runs on loopback against a fake Gemini, in a folder of its own that is removed. The
sides of a comparison take turns, several rounds of them; the table gives the medians, and ratios
that were taken within a round. Do nothing else on the machine meanwhile.
"""

import argparse
import json
import resource
import signal
import sys
from types import FrameType

from bench import first_token, idle_streams, workers
from bench.program import Program
from bench.table import Row, as_json, as_markdown, machine

# One for each reply of the largest load.
MOST_PEOPLE = 600
LONGEST_SECONDS = 3600
PARTS = ["first-token", "workers", "idle-streams"]
WAVES = {"prefork": 6, "threads": 3, "gevent": 3, "sdk loop": 6, "sdk threads": 2}
TRIAL_WAVES = dict.fromkeys(WAVES, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench-replies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given repeatedly")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--trial", action="store_true", help="one small round: does it all run?")
    told = parser.parse_args()
    # Two thousand streams are as many sockets in each of three processes.
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_SECONDS)
    where = machine()
    rows = measure(told.only or PARTS, rounds=1 if told.trial else told.rounds, trial=told.trial)
    if told.json:
        print(json.dumps(as_json(rows, where), indent=2))
    else:
        print(as_markdown(rows), *(f"{name}: {value}" for name, value in where.items()), sep="\n")


def measure(parts: list[str], *, rounds: int, trial: bool) -> list[Row]:
    rows: list[Row] = []
    with Program(people=MOST_PEOPLE // 3 if trial else MOST_PEOPLE) as program:
        if "first-token" in parts:
            say("Time to the first token")
            sizes = first_token.Sizes(streams=50, replies_each=1 if trial else 4)
            rows += first_token.measure(program, rounds=rounds, sizes=sizes)
        if "workers" in parts:
            say("Workers, pool by pool")
            waves = TRIAL_WAVES if trial else WAVES
            rows += workers.measure(program, rounds=rounds, waves=waves, kinds=workers.KINDS)
        # Last, as it leaves replies in the queue.
        if "idle-streams" in parts:
            say("Idle streams")
            streams, seconds = (200, 2.0) if trial else (2000, 16.0)
            rows += idle_streams.measure(program, rounds=rounds, streams=streams, seconds=seconds)
    return rows


def give_up(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"this has taken {LONGEST_SECONDS} s")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""Measure how replies are made and streamed: `make bench ARGS=replies`, on Linux.

Everything runs on loopback against a fake Gemini, in a scratch folder. The sides of a comparison
take turns, for several rounds. The table gives the medians, and ratios within a round. Do nothing
else on the machine meanwhile.
"""

import argparse
import json
import resource
import signal
import sys
from types import FrameType

from dev.bench import capacity, first_token, idle_streams
from dev.bench.support.program import Program
from dev.bench.support.table import Row, as_json, as_markdown, machine

# One person for each reply of the largest load.
MOST_PEOPLE = 1200
LONGEST_SECONDS = 3600
# In this order: the last load leaves replies in the queue.
PARTS = ["first-token", "workers", "idle-streams"]
WAVES = {"prefork": 6, "threads": 3, "gevent": 3, "sdk loop": 6, "sdk threads": 2}
TRIAL_WAVES = dict.fromkeys(WAVES, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench replies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given repeatedly")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--trial", action="store_true", help="one small round: does it all run?")
    options = parser.parse_args()
    # Two thousand streams are as many sockets in each of three processes.
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST_SECONDS)
    where = machine()
    rows = measure(
        options.only or PARTS, rounds=1 if options.trial else options.rounds, trial=options.trial
    )
    if options.json:
        print(json.dumps(as_json(rows, where), indent=2))
    else:
        print(as_markdown(rows), *(f"{name}: {value}" for name, value in where.items()), sep="\n")


def measure(parts: list[str], *, rounds: int, trial: bool) -> list[Row]:
    """Measure the parts; the rows of each part go to stderr at once."""
    rows: list[Row] = []
    with Program(people=MOST_PEOPLE // 3 if trial else MOST_PEOPLE) as program:
        for part in (part for part in PARTS if part in parts):
            print(f"{part} …", file=sys.stderr, flush=True)
            found = measure_part(program, part, rounds=rounds, trial=trial)
            print(as_markdown(found), file=sys.stderr, flush=True)
            rows += found
    return rows


def measure_part(program: Program, part: str, *, rounds: int, trial: bool) -> list[Row]:
    if part == "first-token":
        sizes = first_token.Sizes(streams=50, replies_each=1 if trial else 4)
        return first_token.measure(program, rounds=rounds, sizes=sizes)
    if part == "workers":
        waves = TRIAL_WAVES if trial else WAVES
        return capacity.measure(program, rounds=rounds, waves=waves, kinds=capacity.KINDS)
    streams, seconds = (200, 2.0) if trial else (2000, 16.0)
    return idle_streams.measure(program, rounds=rounds, streams=streams, seconds=seconds)


def give_up(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"this has taken {LONGEST_SECONDS} s")


if __name__ == "__main__":
    main()

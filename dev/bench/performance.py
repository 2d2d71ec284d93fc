"""Measure the program beside a control: `make bench`, on Linux.

The stack runs as users run it, against the tests' fake Gemini, beside a control
(dev/bench/support/peers) on the same servers. The sides of a comparison take turns, for several
rounds. The table gives the medians, and ratios within a round. Do nothing else on the machine.
`--write` keeps the table and the plots in docs/.
"""

import argparse
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dev.bench import calls, capacity, first_token, idle_streams, startup
from dev.bench.first_token import CHUNKS
from dev.bench.support import curves
from dev.bench.support.control import Control
from dev.bench.support.program import Program
from dev.bench.support.table import Row, as_json, as_markdown, machine
from dev.environment import BASE_DIR

PEOPLE = 1200
CONTROL_PEOPLE = 51
REPORT = BASE_DIR / "docs" / "performance.md"
BEGIN, END = "<!-- The table that `make bench` wrote. -->\n", "<!-- The end of it. -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given repeatedly")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {REPORT.name}")
    parser.add_argument("--trial", action="store_true", help="one small round: does it all run?")
    options = parser.parse_args()
    # Two thousand streams are as many sockets in each of three processes.
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    where = machine()
    rows: list[Row] = []
    for name in options.only or PARTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        found = PARTS[name](1 if options.trial else options.rounds, options.trial)
        print(as_markdown(found), file=sys.stderr, flush=True)
        rows += found
    table = "\n".join([as_markdown(rows), "", *(f"- {k}: {v}" for k, v in where.items()), ""])
    if options.write:
        write(REPORT, table)
        draw_curves(REPORT.parent / "images")
    print(json.dumps(as_json(rows, where), indent=2) if options.json else table)


def measure_calls(rounds: int, trial: bool) -> list[Row]:
    sizes = calls.Sizes(100, 50) if trial else calls.Sizes()
    with (
        Program(people=CONTROL_PEOPLE) as program,
        Control(program, people=CONTROL_PEOPLE) as control,
    ):
        return calls.measure(program, control, rounds=rounds, sizes=sizes)


def measure_replies(rounds: int, trial: bool) -> list[Row]:
    """Measure one worker process of each side, and the bare SDK."""
    waves = 1 if trial else 3
    figures: dict[str, list[float]] = {
        "ours": [],
        "control": [],
        "cpu": [],
        "sdk": [],
        "memory": [],
    }
    with Program(people=PEOPLE) as program, Control(program, people=CONTROL_PEOPLE) as control:
        for _ in range(rounds):
            # A unary call takes as long as the whole stream does.
            whole = replace(capacity.ANSWER, first_delay=capacity.REPLY_SECONDS, chunk_delay=0.0)
            program.answer_with(whole)
            figures["control"].append(control.replies_a_second(waves=2 if trial else 5))
            program.answer_with(capacity.ANSWER)
            ours = capacity.load(program, capacity.THREADS, waves)
            figures["ours"].append(ours["rate"])
            figures["cpu"].append(ours["cpu"])
            figures["memory"].append(ours["memory"])
            figures["sdk"].append(capacity.bare_sdk_cpu(program, replies=10, threads=1))
    chunks = len(CHUNKS)
    return [
        Row.compared(
            "replies a second, one worker process",
            "/s",
            figures["ours"],
            "the control's worker",
            figures["control"],
        ),
        Row.compared(
            f"CPU of a streamed reply of {chunks} chunks",
            "ms",
            figures["cpu"],
            "the bare SDK in a loop",
            figures["sdk"],
        ),
        Row("memory of the worker under that load", "MB", figures["memory"]),
    ]


def measure_first_token(rounds: int, trial: bool) -> list[Row]:
    sizes = first_token.Sizes(streams=50, replies_each=1 if trial else 4)
    with Program(people=sizes.streams) as program:
        return first_token.measure(program, rounds=rounds, sizes=sizes)


def measure_idle_streams(rounds: int, trial: bool) -> list[Row]:
    streams, seconds = (200, 2.0) if trial else (2000, 8.0)
    with Program(people=200) as program:
        return idle_streams.measure(program, rounds=rounds, streams=streams, seconds=seconds)


def measure_startup(rounds: int, trial: bool) -> list[Row]:
    return startup.measure(rounds=rounds)


def draw_curves(folder: Path) -> None:
    print("curves …", file=sys.stderr, flush=True)
    with Program(people=PEOPLE) as program:
        replies = curves.replies_by_threads(program)
        with Control(program, people=CONTROL_PEOPLE) as control:
            sends = curves.sends_by_connections(program, control)
    curves.plot(
        folder / "performance-replies.svg",
        xs=curves.THREADS,
        lines={"one worker process": replies},
        x_label="threads of the worker",
        y_label="replies a second",
    )
    curves.plot(
        folder / "performance-sends.svg",
        xs=curves.CONNECTIONS,
        lines=sends,
        x_label="connections that send",
        y_label="accepted sends a second",
    )


Part = Callable[[int, bool], list[Row]]
PARTS: dict[str, Part] = {
    "calls": measure_calls,
    "replies": measure_replies,
    "first-token": measure_first_token,
    "idle-streams": measure_idle_streams,
    "startup": measure_startup,
}


def write(report: Path, table: str) -> None:
    """Replace the last table in the report."""
    before, _, rest = report.read_text().partition(BEGIN)
    report.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()

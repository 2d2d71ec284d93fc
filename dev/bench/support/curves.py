"""How figures move with the load, as plots in docs/images."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from dev.bench import calls, capacity
from dev.bench.calls import Side, send_all
from dev.bench.support.control import Control
from dev.bench.support.program import Program, Worker

CONNECTIONS = [1, 4, 16, 64]
SENDS = 400
THREADS = [25, 50, 100, 200, 400]
WAVES = 2


def sends_by_connections(program: Program, control: Control) -> dict[str, list[float]]:
    """Measure accepted sends a second of one web process, for each number of connections."""
    sides = {"GemChatRoom": calls.our_side(program), "control": calls.control_side(control)}
    return {name: [rate(side, count) for count in CONNECTIONS] for name, side in sides.items()}


def rate(side: Side, connections: int) -> float:
    asyncio.run(send_all(side, SENDS // 4, connections=connections))
    started = time.perf_counter()
    asyncio.run(send_all(side, SENDS, connections=connections))
    return SENDS / (time.perf_counter() - started)


def replies_by_threads(program: Program) -> list[float]:
    """Measure replies a second of one worker process, for each number of threads."""
    program.answer_with(capacity.ANSWER)
    return [capacity.load(program, Worker("threads", count), WAVES)["rate"] for count in THREADS]


def plot(
    file: Path, *, xs: Sequence[int], lines: dict[str, list[float]], x_label: str, y_label: str
) -> None:
    import matplotlib

    matplotlib.use("svg")
    # Text stays text, and a file changes only with the figures.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": file.stem})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.4))
    for name, ys in lines.items():
        axes.plot(xs, ys, marker="o", label=name)
    axes.set(xlabel=x_label, ylabel=y_label, xscale="log", ylim=(0, None))
    axes.set_xticks(xs, [str(x) for x in xs])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend()
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)

"""Figures of several rounds in a table: medians, spreads, and ratios of each round."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of each round; `beside` has the other side's figures of the same rounds."""

    what: str
    unit: str
    rounds: list[float]
    beside: str = ""
    ratios: list[float] | None = None

    @classmethod
    def compared(
        cls, what: str, unit: str, rounds: list[float], beside: str, others: list[float]
    ) -> "Row":
        ratios = [own / other for own, other in zip(rounds, others, strict=True)]
        return cls(what, unit, rounds, beside, ratios)

    def cells(self) -> list[str]:
        ratio = f"{shown(statistics.median(self.ratios))} × {self.beside}" if self.ratios else ""
        spread = f"{shown(min(self.rounds))} to {shown(max(self.rounds))}"
        return [self.what, f"{shown(statistics.median(self.rounds))} {self.unit}", spread, ratio]


def shown(figure: float) -> str:
    """Format a figure with three significant digits."""
    digits = 0 if abs(figure) >= 100 else 1 if abs(figure) >= 10 else 2
    return f"{figure:.{digits}f}"


def as_markdown(rows: Sequence[Row]) -> str:
    heads = ["measured", "median", "rounds", "ratio"]
    cells = [heads, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def as_json(rows: Sequence[Row], host: dict[str, Any]) -> dict[str, Any]:
    medians = [{**asdict(row), "median": statistics.median(row.rounds)} for row in rows]
    return {"machine": host, "rows": medians}


def machine() -> dict[str, Any]:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }

"""Charts as SVG, drawn here and styled by the style sheet: no script, and no style of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import floor, log10
from typing import Any

WIDTH, HEIGHT = 480, 140
# Room for the figures at the left and the days below.
LEFT, BOTTOM, TOP = 46, 18, 8

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over days, oldest first; a None is a day that nothing is known of.

    `kind` is `bars`, one on the other, or `lines`. `unit` is told in words after a figure.
    """

    title: str
    unit: str
    kind: str
    days: Sequence[date]
    series: Mapping[str, Values]

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def top(self) -> float:
        """A round figure at or above every value."""
        if self.kind == "bars":
            days = zip(*self.series.values(), strict=True)
            highest = max((sum(value or 0 for value in of_day) for of_day in days), default=0)
        else:
            values = (value or 0 for values in self.series.values() for value in values)
            highest = max(values, default=0)
        if highest <= 0:
            return 1
        step = 10 ** floor(log10(highest))
        return next(step * times for times in (1, 2, 5, 10) if step * times >= highest)

    @property
    def y_axis(self) -> list[dict[str, Any]]:
        """The figures at the left, each with its height."""
        return [
            {"y": round(self._y(share * self.top), 1), "text": format_number(share * self.top)}
            for share in (0, 0.5, 1)
        ]

    @property
    def bars(self) -> list[dict[str, Any]]:
        slot = self._bar_width
        drawn = []
        for place in range(len(self.days)):
            below = 0.0
            for number, values in enumerate(self.series.values()):
                value = values[place] or 0
                upper, lower = self._y(below + value), self._y(below)
                below += value
                if value:
                    drawn.append(
                        {
                            "series": number,
                            "x": round(LEFT + place * slot + slot * 0.15, 1),
                            "y": round(upper, 1),
                            "width": round(slot * 0.7, 1),
                            "height": round(max(lower - upper, 0.5), 1),
                        }
                    )
        return drawn

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Pieces of each series, broken where nothing is known; a lone day is a dot."""
        drawn = []
        for number, values in enumerate(self.series.values()):
            piece: list[tuple[float, float]] = []
            for place, value in enumerate([*values, None]):
                if value is not None:
                    x = LEFT + (place + 0.5) * self._bar_width
                    piece.append((round(x, 1), round(self._y(value), 1)))
                elif piece:
                    points = " ".join(f"{x},{y}" for x, y in piece)
                    drawn.append(
                        {
                            "series": number,
                            "points": points,
                            "dot": piece[0] if len(piece) == 1 else (),
                        }
                    )
                    piece = []
        return drawn

    @property
    def x_axis(self) -> list[dict[str, Any]]:
        """The first day and the last, below."""
        last = LEFT + len(self.days) * self._bar_width
        return [
            {"x": LEFT, "anchor": "start", "day": self.days[0]},
            {"x": round(last, 1), "anchor": "end", "day": self.days[-1]},
        ]

    @property
    def text_alternative(self) -> str:
        """The gist, for those who can't see it."""
        latest = [
            name + " " + format_number(values[-1]) + self.unit
            for name, values in self.series.items()
            if values and values[-1] is not None
        ]
        return f"Today: {', '.join(latest) or 'nothing yet'}. The table below has every day."

    @property
    def rows(self) -> list[tuple[date, list[str]]]:
        """The table, newest day first."""
        columns = list(self.series.values())
        days = [
            (day, ["" if of[place] is None else format_number(of[place]) for of in columns])
            for place, day in enumerate(self.days)
        ]
        return days[::-1]

    @property
    def _bar_width(self) -> float:
        return (WIDTH - LEFT) / max(1, len(self.days))

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP)


def format_number(value: float | None) -> str:
    """1234567 as 1.2M; small figures as they are."""
    if value is None:
        return ""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if value >= size:
            scale = 1_000 if letter == "k" else size
            return f"{value / scale:.3g}{letter}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")

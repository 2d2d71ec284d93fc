"""Charts as SVG without scripts or inline styles; the style sheet has the colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import floor, log10
from typing import Any

WIDTH, HEIGHT = 480, 140
# Space for the numbers at the left and the days below.
LEFT, BOTTOM, TOP = 46, 18, 8

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over days, oldest day first; None is a day without a value.

    `kind` is `bars`, stacked, or `lines`. `unit` follows a number in texts.
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
        """Return a round number at or above every value."""
        if self.kind == "bars":
            days = zip(*self.series.values(), strict=True)
            highest = max((sum(value or 0 for value in values) for values in days), default=0)
        else:
            values = (value or 0 for values in self.series.values() for value in values)
            highest = max(values, default=0)
        if highest <= 0:
            return 1
        step = 10 ** floor(log10(highest))
        return next(step * times for times in (1, 2, 5, 10) if step * times >= highest)

    @property
    def y_axis(self) -> list[dict[str, Any]]:
        """Return the numbers at the left, each with its height."""
        return [
            {"y": round(self._y(share * self.top), 1), "text": format_number(share * self.top)}
            for share in (0, 0.5, 1)
        ]

    @property
    def bars(self) -> list[dict[str, Any]]:
        width = self._bar_width
        drawn = []
        for index in range(len(self.days)):
            below = 0.0
            for number, values in enumerate(self.series.values()):
                value = values[index] or 0
                upper, lower = self._y(below + value), self._y(below)
                below += value
                if value:
                    drawn.append(
                        {
                            "series": number,
                            "x": round(LEFT + index * width + width * 0.15, 1),
                            "y": round(upper, 1),
                            "width": round(width * 0.7, 1),
                            "height": round(max(lower - upper, 0.5), 1),
                        }
                    )
        return drawn

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return segments of each series between missing values; a single day is a dot."""
        drawn = []
        for number, values in enumerate(self.series.values()):
            segment: list[tuple[float, float]] = []
            for index, value in enumerate([*values, None]):
                if value is not None:
                    x = LEFT + (index + 0.5) * self._bar_width
                    segment.append((round(x, 1), round(self._y(value), 1)))
                elif segment:
                    points = " ".join(f"{x},{y}" for x, y in segment)
                    drawn.append(
                        {
                            "series": number,
                            "points": points,
                            "dot": segment[0] if len(segment) == 1 else (),
                        }
                    )
                    segment = []
        return drawn

    @property
    def x_axis(self) -> list[dict[str, Any]]:
        """Return the first and the last day, below."""
        last = LEFT + len(self.days) * self._bar_width
        return [
            {"x": LEFT, "anchor": "start", "day": self.days[0]},
            {"x": round(last, 1), "anchor": "end", "day": self.days[-1]},
        ]

    @property
    def text_alternative(self) -> str:
        """Describe the chart for users who cannot see it."""
        latest = [
            name + " " + format_number(values[-1]) + self.unit
            for name, values in self.series.items()
            if values and values[-1] is not None
        ]
        return f"Today: {', '.join(latest) or 'nothing yet'}. The table below has every day."

    @property
    def rows(self) -> list[tuple[date, list[str]]]:
        """Return the rows of the table, newest day first."""
        columns = list(self.series.values())
        days = [
            (day, [format_number(values[index]) for values in columns])
            for index, day in enumerate(self.days)
        ]
        return days[::-1]

    @property
    def _bar_width(self) -> float:
        return (WIDTH - LEFT) / max(1, len(self.days))

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP)


def format_number(value: float | None) -> str:
    """Format 1234567 as 1.2M; small numbers stay exact."""
    if value is None:
        return ""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if value >= size:
            scale = 1_000 if letter == "k" else size
            return f"{value / scale:.3g}{letter}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")

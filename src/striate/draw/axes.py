"""A panel with two axes and round ticks, on which lines are drawn in the data's own units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from striate.draw.figure import BLUE, GRID, INK, MUTED, Figure, Point, text_width

_MOST_POWERS = 7  # of ten, that an axis names


@dataclass(frozen=True)
class Axis:
    """The range of one quantity, on a linear or logarithmic scale."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False
    label: Callable[[float], str] = "{:g}".format

    def place(self, value: float) -> float:
        """Return where a value lies: 0 at the axis's low end, 1 at its high end."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(
    low: float, high: float, count: int = 5, label: Callable[[float], str] = "{:g}".format
) -> Axis:
    """Return an axis that covers low to high with about `count` ticks at round values.

    Example:
        >>> axis = linear_axis(0.912, 0.993)
        >>> axis.low, axis.high, axis.ticks
        (0.9, 1.0, (0.9, 0.92, 0.94, 0.96, 0.98, 1.0))
    """
    step = _round_step((high - low or abs(high) or 1.0) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks, label=label)


def logarithmic_axis(low: float, high: float) -> Axis:
    """Return a logarithmic axis a little beyond low and high (both positive).

    Its ticks are powers of ten, below two and a half decades also twice and five times those, and
    of more than seven powers every second, third or so.

    Example:
        >>> logarithmic_axis(0.03, 1.7).ticks
        (0.05, 0.1, 0.2, 0.5, 1.0)
    """
    low, high = low / 1.15, high * 1.15
    leading = (1, 2, 5) if high / low < 300 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1, max(1, -(-(last - first) // _MOST_POWERS)))
    ladder = [float(f"{digit}e{decade}") for decade in decades for digit in leading]
    return Axis(low, high, tuple(each for each in ladder if low <= each <= high), logarithmic=True)


def loss_axis(values: Sequence[float]) -> Axis:
    """Return a logarithmic axis where values differ by more than 20 times, else one from 0."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low > 0 and high / low > 20:
        return logarithmic_axis(low, high)
    return linear_axis(min(0.0, low), high, 5)


class Panel:
    """A rectangle of a figure with a horizontal and a vertical axis."""

    def __init__(
        self, figure: Figure, box: tuple[float, float, float, float], across: Axis, up: Axis
    ) -> None:
        self.figure, self.across, self.up = figure, across, up
        self.left, self.top, self.width, self.height = box

    def at(self, x: float, y: float) -> Point:
        """Return the point of the figure for a pair of values."""
        return (
            self.left + self.across.place(x) * self.width,
            self.top + (1 - self.up.place(y)) * self.height,
        )

    def frame(self, title: str, below: str) -> None:
        """Draw grid lines, tick labels, the title above and the name of the axis below."""
        right, bottom = self.left + self.width, self.top + self.height
        for tick in self.up.ticks:
            y = self.at(self.across.low, tick)[1]
            self.figure.line((self.left, y), (right, y), GRID, 0.75)
            label = self.up.label(tick)
            self.figure.text((self.left - 8, y + 3.5), label, size=10, fill=MUTED, anchor="end")
        named = self._apart(self.across.ticks)
        for tick in self.across.ticks:
            x = self.at(tick, self.up.low)[0]
            self.figure.line((x, bottom), (x, bottom + 4), MUTED, 0.75)
            if tick in named:
                label = self.across.label(tick)
                self.figure.text((x, bottom + 17), label, size=10, fill=MUTED, anchor="middle")
        self.figure.line((self.left, bottom), (right, bottom), MUTED, 0.75)
        self.figure.text((self.left, self.top - 16), title, size=13, fill=INK)
        self.figure.text(
            (self.left + self.width / 2, bottom + 34), below, size=10, fill=MUTED, anchor="middle"
        )

    def _apart(self, ticks: Sequence[float]) -> Sequence[float]:
        """Return the most ticks whose labels leave room between them: powers of ten rather."""
        powers = [each for each in ticks if each > 0 and math.log10(each).is_integer()]
        powers = powers if self.across.logarithmic and len(powers) > 1 else list(ticks)
        for chosen in (ticks, *(powers[::every] for every in range(1, len(powers) + 1))):
            spans = [
                (self.at(tick, self.up.low)[0], text_width(self.across.label(tick), 10) / 2)
                for tick in chosen
            ]
            if all(y - x >= half + other + 6 for (x, half), (y, other) in pairwise(spans)):
                return chosen
        return ticks[:1]

    def curve(self, points: Sequence[Point], stroke: str = BLUE, width: float = 1.75) -> None:
        """Draw a line through pairs of values; what lies below the panel is cut off."""
        shown: list[Point] = list(points[:1]) if points and points[0][1] >= self.up.low else []
        for (x1, y1), (x2, y2) in pairwise(points):
            if (y1 < self.up.low) != (y2 < self.up.low):
                part = (self.up.low - y1) / (y2 - y1)
                shown.append((x1 + part * (x2 - x1), self.up.low))
            if y2 >= self.up.low:
                shown.append((x2, y2))
        self.figure.polyline([self.at(*point) for point in shown], stroke, width)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * first for first in (1, 2, 5, 10) if power * first >= step * (1 - 1e-9))

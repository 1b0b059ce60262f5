"""Small charts side by side in one figure: lines over an axis, named shares, a table of shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from striate.draw.axes import Axis, Panel
from striate.draw.figure import (
    BLUE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PALE_BLUE,
    PAPER,
    STROKES,
    Figure,
    Point,
    text_width,
)
from striate.draw.overlay import Floats

Box = tuple[float, float, float, float]

_WIDE, _HIGH, _STEP_X, _STEP_Y, _TOP = 320.0, 180.0, 414.0, 292.0, 100.0
_ROWS = 2  # of a legend
_DOTTED = 60  # points, up to which each is seen


@dataclass(frozen=True)
class Chart:
    """Lines over one axis.

    Args:
        title: what stands above.
        below: the name of the axis across.
        across: its range.
        up: the range of the values.
        series: points by name, each line in order; names that begin with "_", and those that the
            legend has no room for, are drawn in grey: as `others`, or as the only one's name.
        levels: named values that are drawn across.
        marked: a point, and what is said of it.
        places: named values of the axis across, drawn upright.
    """

    title: str
    below: str
    across: Axis
    up: Axis
    series: Mapping[str, Sequence[Point]]
    levels: Mapping[str, float] = field(default_factory=dict)
    marked: tuple[Point, str] | None = None
    places: Mapping[str, float] = field(default_factory=dict)

    def draw(self, figure: Figure, box: Box) -> None:
        """Draw it into a box of a figure."""
        panel = Panel(figure, box, self.across, self.up)
        panel.frame("", self.below)
        _heading(figure, box, self.title)
        right = panel.left + panel.width
        for value in self.levels.values():
            if self.up.low <= value <= self.up.high:
                y = panel.at(self.across.low, value)[1]
                figure.line((panel.left, y), (right, y), MUTED, 1)
        for name, value in self.places.items():
            x = panel.at(value, self.up.low)[0]
            figure.line((x, panel.top), (x, panel.top + panel.height), MUTED, 1)
            beside = (x - 4, panel.top + text_width(name, 9) + 4)
            figure.text(beside, name, size=9, fill=MUTED, upright=True)
        named = _with_room(self.series, list(self.levels), box[2])
        strokes = {name: STROKES[k % len(STROKES)] for k, name in enumerate(named)}
        for name, points in sorted(self.series.items(), key=lambda pair: pair[0] in strokes):
            panel.curve(points, strokes.get(name, GRID), 1.75)
            for point in points if len(points) <= _DOTTED and name in strokes else ():
                if point[1] >= self.up.low:
                    figure.circle(panel.at(*point), 2.25, strokes[name])
        grey = dict.fromkeys(_grey(self.series, named), GRID)
        _legend(figure, box, {**strokes, **grey, **dict.fromkeys(self.levels, MUTED)})
        if self.marked is not None:
            point, said = self.marked
            x, y = panel.at(*point)
            figure.circle((x, y), 4.5, INK)
            figure.circle((x, y), 2.75, PAPER)
            figure.text((right, panel.top - 34), said, size=10, fill=MUTED, anchor="end")


@dataclass(frozen=True)
class Bars:
    """Named shares, 0 to 1, as bars from the left."""

    title: str
    shares: Mapping[str, float]

    def draw(self, figure: Figure, box: Box) -> None:
        """Draw it into a box of a figure."""
        left, top, wide, _ = box
        _heading(figure, box, self.title)
        for number, (name, share) in enumerate(self.shares.items()):
            y = top + number * 46
            figure.text((left, y + 10), f"{name}: {share:.1%}", size=11, fill=INK)
            figure.rectangle(left, y + 16, wide, 12, GRID)
            full = wide * min(max(share, 0.0), 1.0)
            figure.rectangle(left, y + 16, full, 12, ORANGE if number else BLUE)


@dataclass(frozen=True)
class Bands:
    """Named values, each on a line of its own beside the range that is as it should be.

    Args:
        title: what stands above.
        rows: value, least and most, by name; an end that is infinite is open.
    """

    title: str
    rows: Mapping[str, tuple[float, float, float]]

    def draw(self, figure: Figure, box: Box) -> None:
        """Draw it into a box of a figure."""
        left, top, wide, _ = box
        _heading(figure, box, self.title)
        for number, (name, (value, least, most)) in enumerate(self.rows.items()):
            y = top + number * 46
            ends = [each for each in (value, least, most) if math.isfinite(each)]
            room = 0.15 * (max(ends) - min(ends) or abs(value) or 1.0)
            low, high = min(ends) - room, max(ends) + room
            said = f"{name}: {value:.4g}, expected {_between(least, most)}"
            figure.text((left, y + 10), said, size=11, fill=INK)
            figure.rectangle(left, y + 16, wide, 12, GRID)
            a, b, at = (
                left + wide * (min(max(each, low), high) - low) / (high - low)
                for each in (least, most, value)
            )
            figure.rectangle(a - 1, y + 16, max(b - a, 0) + 2, 12, PALE_BLUE)
            inside = least <= value <= most
            figure.rectangle(at - 2, y + 13, 4, 18, BLUE if inside else ORANGE)


def _between(least: float, most: float) -> str:
    """Spell a range, of which one end may be open."""
    if math.isinf(most):
        return f"at least {least:.4g}"
    if math.isinf(least):
        return f"at most {most:.4g}"
    return f"{least:.4g}" if least == most else f"{least:.4g} to {most:.4g}"


@dataclass(frozen=True)
class Table:
    """Counts of true class by answer, each row shaded by its shares: (classes, classes)."""

    title: str
    counts: Floats
    below: str

    def draw(self, figure: Figure, box: Box) -> None:
        """Draw it into a box of a figure."""
        left, top, _, high = box
        _heading(figure, box, self.title)
        shares = self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)
        cell = high / len(shares)
        figure.rectangle(left, top, high, high, "#f3f4f6")
        for row, column in zip(*np.nonzero(shares), strict=True):
            full = (37, 99, 235) if row == column else (232, 89, 12)
            depth = 0.08 + 0.92 * float(shares[row, column]) ** 0.5
            fill = "#" + "".join(f"{round(255 + depth * (each - 255)):02x}" for each in full)
            gap = 0.5 if cell >= 6 else 0.0
            place = (left + column * cell + gap, top + row * cell + gap)
            figure.rectangle(*place, cell - 2 * gap, cell - 2 * gap, fill)
        figure.text((left + high / 2, top + high + 17), self.below, size=10, fill=MUTED,
                    anchor="middle")  # fmt: skip
        beside = (left - 8, top + high / 2)
        figure.text(beside, "true", size=10, fill=MUTED, anchor="middle", upright=True)


def charts(shown: Sequence[Chart | Bars | Bands | Table], *, title: str, note: str = "") -> Figure:
    """Draw charts two in a row.

    Args:
        shown: the charts, in their order.
        title: what stands above all.
        note: one line under it.
    """
    rows = -(-len(shown) // 2)
    figure = Figure(820 if len(shown) > 1 else 430, _TOP + _STEP_Y * rows - (_STEP_Y - _HIGH) + 52)
    figure.text((56, 28), title, size=15)
    figure.text((56, 46), note, size=10, fill=MUTED)
    for number, each in enumerate(shown):
        x, y = 56 + _STEP_X * (number % 2), _TOP + 8 + _STEP_Y * (number // 2)
        each.draw(figure, (x, y, _WIDE, _HIGH))
    return figure


def _heading(figure: Figure, box: Box, title: str) -> None:
    figure.text((box[0], box[1] - 34), title, size=13, fill=INK)


def _with_room(series: Iterable[str], levels: list[str], wide: float) -> list[str]:
    """Return the lines that a legend has room to name, beside the levels and what is grey."""
    names = list(series)
    named = [name for name in names if not name.startswith("_")]
    while named:
        rows = _in_rows([*named, *_grey(names, named), *levels], wide)
        if len(rows) <= _ROWS and all(_length(row) <= wide for row in rows):
            break
        named.pop()
    return named


def _grey(series: Iterable[str], named: list[str]) -> list[str]:
    """Return what the lines beside the named ones are called together, if there are any."""
    rest = [name.removeprefix("_") for name in series if name not in named]
    return rest if len(rest) < 2 else ["others"]


def _in_rows(names: Iterable[str], wide: float) -> list[list[str]]:
    rows: list[list[str]] = []
    for name in names:
        if rows and _length([*rows[-1], name]) <= wide:
            rows[-1].append(name)
        else:
            rows.append([name])
    return rows


def _length(names: Sequence[str]) -> float:
    return sum(32 + text_width(name, 10) for name in names) - 14


def _legend(figure: Figure, box: Box, strokes: Mapping[str, str]) -> None:
    """Name every line between the heading and the chart, in one row or two."""
    rows = _in_rows(strokes, box[2])
    for number, row in enumerate(rows):
        left, y = box[0], box[1] - (15 if len(rows) == 1 else 21 - 12 * number)
        for name in row:
            stroke = strokes[name]
            figure.line((left, y), (left + 14, y), stroke, 1 if stroke == MUTED else 2)
            figure.text((left + 18, y + 3.5), name, size=10, fill=MUTED)
            left += _length([name]) + 14

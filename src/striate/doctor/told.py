"""What the doctor's charts are made of: a run's lines over its epochs, and charts of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

import numpy as np

from striate.doctor.story import Finding, Story
from striate.draw import Bands, Bars, Chart, Table
from striate.draw.axes import Axis, linear_axis, logarithmic_axis
from striate.draw.figure import Point
from striate.train.objective import Softmax

Shown = Chart | Bars | Bands | Table
Line = Mapping[str, Any]
Drawer = Callable[["Told", Finding], Shown | None]
"""Draws a finding's evidence; None where the history does not hold it."""

LEAST: Final = 1e-12  # that a logarithmic axis shows
_NAMED = 4  # layers of a chart; the others are grey
_STRETCHES = 150  # that a longer history is drawn in


class Told:
    """What charts are made of: the lines of a history, over epochs."""

    def __init__(self, story: Story, history: Sequence[Line]) -> None:
        self.story, self.history = story, history
        self.pace = story.steps_per_epoch
        self.alike = isinstance(story.recipe.objective, Softmax)  # its loss is guessing's ln K
        self.probes = [line for line in history if line.get("probe") == "layers"]
        last = max((line.get("step", 0) for line in history), default=0) / self.pace
        whole = linear_axis(0, max(last, 1e-3), 6)
        self.across = Axis(0, max(last, 1e-3), tuple(each for each in whole.ticks if each <= last))

    def steps(self, key: str) -> list[Point]:
        """Return a figure of steps over the epochs, finite ones only."""
        return [
            (line["step"] / self.pace, float(line[key]))
            for line in self.history
            if line.get("kind") == "step" and finite(line.get(key))
        ]

    def checks(self, key: str) -> list[Point]:
        """Return a figure of validations over the epochs."""
        return [
            (line["step"] / self.pace, float(line[key]))
            for line in self.history
            if line.get("kind") == "validation" and finite(line.get(key))
        ]

    def layers(self, part: str, value: Callable[[Line], float | None]) -> dict[str, list[Point]]:
        """Return a figure of each layer's probes over the epochs."""
        found: dict[str, list[Point]] = {}
        for probe in self.probes:
            for name, each in probe.get(part, {}).items():
                figure = value(each) if isinstance(each, Mapping) else each
                if finite(figure):
                    found.setdefault(name.removesuffix(".weight"), []).append(
                        (probe["step"] / self.pace, float(figure))
                    )
        return found


def shares(told: Told, title: str, found: dict[str, list[Point]]) -> Shown | None:
    """Draw shares, 0 to 1, over the epochs."""
    percent = linear_axis(0, 1, 5, label=lambda value: f"{100 * value:g}%")
    shown = few(found, lambda points: -points[-1][1])
    return Chart(title, "epochs", told.across, percent, shown) if any(shown.values()) else None


def linear(told: Told, title: str, series: dict[str, list[Point]]) -> Shown | None:
    """Draw values over the epochs, on an axis from 0."""
    values = [value for points in series.values() for _, value in points]
    if not values:
        return None
    most = max(values)
    up = linear_axis(0, most if most > LEAST else 1.0, 5)
    return Chart(title, "epochs", told.across, up, series)


def logarithmic(
    told: Told,
    title: str,
    series: dict[str, list[Point]],
    levels: dict[str, float],
    least: Sequence[float],
) -> Shown | None:
    """Draw positive values on a logarithmic axis; what is 0 lies on its bottom."""
    values = [value for points in series.values() for _, value in points if value > LEAST]
    if not any(series.values()):
        return None
    every = [*values, *levels.values(), *least] or [LEAST, 1.0]
    up = logarithmic_axis(min(every), max(max(every), 10 * min(every)))
    low = up.low
    drawn = {name: [(x, max(y, low)) for x, y in points] for name, points in series.items()}
    return Chart(title, "epochs", told.across, up, drawn, levels)


def numbered(count: int) -> Axis:
    """Return an axis of so many things in a row, counted from 1."""
    step = max(1, -(-count // 8))
    return Axis(1, max(count, 2), tuple(float(each) for each in range(1, max(count, 2) + 1, step)))


def few(
    found: dict[str, list[Point]], order: Callable[[list[Point]], float]
) -> dict[str, list[Point]]:
    """Name the few layers that come first in some order, and leave the others grey."""
    names = sorted((n for n in found if found[n]), key=lambda name: order(found[name]))
    return {name if k < _NAMED else f"_{name}": found[name] for k, name in enumerate(names)}


def medians(points: list[Point]) -> list[Point]:
    """Return the medians of stretches of like length, where there are more points than that."""
    if len(points) <= _STRETCHES:
        return points
    pieces = np.array_split(np.asarray(points), _STRETCHES)
    return [(float(piece[:, 0].mean()), float(np.median(piece[:, 1]))) for piece in pieces]


def ratio(part: float | None, whole: float | None) -> float | None:
    """Return a share; None where there is nothing to share in."""
    return part / whole if part is not None and whole else None


def finite(value: object) -> TypeGuard[float]:
    """Tell whether a value is a number, and neither NaN nor infinite."""
    return isinstance(value, int | float) and math.isfinite(value)

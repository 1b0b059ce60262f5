"""The learning curve: loss while training and on the validation part, and the accuracy there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from striate.draw.axes import Axis, Panel, linear_axis, loss_axis
from striate.draw.figure import BLUE, INK, MUTED, ORANGE, PALE_BLUE, Figure, Point, text_width

_BUCKETS = 100  # a longer history is averaged to this many points

Line = Mapping[str, Any]


def learning_curve(
    history: Sequence[Line], title: str = "", chosen_by: Literal["accuracy", "loss"] = "accuracy"
) -> Figure:
    """Draw a run's history as two panels over the epochs: loss, and accuracy on validation.

    Args:
        history: the run's lines; those of kind "step" give `step` and `loss`, those of kind
            "validation" `step`, `epoch` (how many are done), `loss`, `accuracy`, and a true `best`
            where the weights were the best so far.
        title: what the run is called.
        chosen_by: the figure by which the weights were chosen, as the recipe has it; a ring marks
            it, in its panel.

    The training loss is averaged over short stretches of steps, with the band between the 10th and
    90th percentile behind it.
    """
    epoch_steps, unit = _steps_an_epoch(history)

    def pairs(kind: str, key: str) -> list[Point]:
        return [
            (line["step"] / epoch_steps, line[key]) for line in history if _has(line, kind, key)
        ]

    band = _summarise(pairs("step", "loss"))
    checks, scores = pairs("validation", "loss"), pairs("validation", "accuracy")
    best = next((line for line in reversed(history) if line.get("best")), None)
    chosen = 0 if best is None else best["step"] / epoch_steps
    by_loss = chosen_by == "loss" and "robust" not in (best or {})
    last = max([x for x, *_ in [*band, *checks, *scores]], default=1.0)

    figure = Figure(820, 340)
    figure.text((56, 28), title, size=15)
    across = linear_axis(0, last, 6)
    across = Axis(0, max(last, 1e-9), tuple(tick for tick in across.ticks if tick <= last))
    losses = _draw_loss(figure, across, unit, band, checks)
    accuracies = _draw_accuracy(figure, across, unit, scores)
    if by_loss and checks:
        point = min(checks, key=lambda point: (point[0] != chosen, point[1]))
        _mark(losses, point, f"{point[1]:.4g}", unit)
    elif scores:
        point = max(scores, key=lambda point: (point[0] == chosen, point[1]))
        under_attack = ", by accuracy under attack" if "robust" in (best or {}) else ""
        _mark(accuracies, point, f"{100 * point[1]:.2f}%{under_attack}", unit)
    return figure


def _draw_loss(
    figure: Figure,
    across: Axis,
    unit: str,
    band: list[tuple[float, float, float, float]],
    checks: list[Point],
) -> Panel:
    values = [value for _, *three in band for value in three] + [loss for _, loss in checks]
    panel = Panel(figure, (56, 78, 320, 206), across, loss_axis(values))
    panel.frame("Loss", unit)
    if len(band) > 1:
        upper = [panel.at(x, high) for x, _, _, high in band]
        lower = [panel.at(x, low) for x, low, _, _ in reversed(band)]
        figure.polyline(upper + lower, stroke=None, fill=PALE_BLUE)
    panel.curve([(x, mean) for x, _, mean, _ in band], BLUE, 1.25)
    panel.curve(checks, ORANGE)
    if len(checks) <= 60:
        for point in checks:
            figure.circle(panel.at(*point), 2.5, ORANGE)
    _legend(figure, 376, 44, [("training", BLUE), ("validation", ORANGE)])
    return panel


def _draw_accuracy(figure: Figure, across: Axis, unit: str, scores: list[Point]) -> Panel:
    up = linear_axis(*_accuracy_range(scores), 5, label=lambda value: f"{100 * value:g}%")
    panel = Panel(figure, (470, 78, 320, 206), across, up)
    panel.frame("Validation accuracy", unit)
    panel.curve(scores, ORANGE)
    for point in scores if len(scores) <= 60 else ():
        figure.circle(panel.at(*point), 2.5, ORANGE)
    if not scores:
        middle = (630, 185)
        figure.text(middle, "no validation yet", fill=MUTED, anchor="middle")
    return panel


def _mark(panel: Panel, point: Point, value: str, unit: str) -> None:
    """Put a ring around the epoch whose weights were kept, and say its figure."""
    place = panel.at(*point)
    panel.figure.circle(place, 4.5, INK)
    panel.figure.circle(place, 2.75, "#ffffff")
    said = f"chosen: {value} after {point[0]:.4g} {unit if point[0] != 1 else unit[:-1]}"
    right = panel.left + panel.width
    panel.figure.text((right, 62), said, size=10, fill=MUTED, anchor="end")


def _legend(figure: Figure, right: float, baseline: float, names: list[tuple[str, str]]) -> None:
    for name, colour in reversed(names):
        left = right - text_width(name, 10)
        figure.text((left, baseline), name, size=10, fill=MUTED)
        figure.line((left - 20, baseline - 3.5), (left - 6, baseline - 3.5), colour, 2)
        right = left - 34


def _has(line: Line, kind: str, key: str) -> bool:
    value = line.get(key)
    return line.get("kind") == kind and isinstance(value, int | float) and math.isfinite(value)


def _steps_an_epoch(history: Sequence[Line]) -> tuple[float, str]:
    """Return how many steps an epoch has, or 1 where no epoch has been completed."""
    for line in reversed(history):
        if line.get("kind") == "validation" and line.get("epoch") and line.get("step"):
            return line["step"] / line["epoch"], "epochs"
    return 1.0, "steps"


def _summarise(points: list[Point]) -> list[tuple[float, float, float, float]]:
    """Return (x, 10th percentile, mean, 90th percentile) of equal stretches of the points."""
    if not points:
        return []
    stretch = max(1, math.ceil(len(points) / _BUCKETS))
    table = np.asarray(points, np.float64)
    found = []
    for start in range(0, len(table), stretch):
        x, y = table[start : start + stretch].T
        low, high = np.percentile(y, (10, 90))
        found.append((float(x.mean()), float(low), float(y.mean()), float(high)))
    return found


def _accuracy_range(scores: list[Point]) -> tuple[float, float]:
    """Return the range to show, with every point in it.

    A range of less than half of the errors that are left would make a trend of the noise of some
    images.
    """
    if not scores:
        return 0.0, 1.0
    values = [accuracy for _, accuracy in scores]
    top = max(values)
    return max(min(*values, top - max(0.01, (1 - top) / 2)), 0.0), top

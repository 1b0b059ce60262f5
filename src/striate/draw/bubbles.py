"""Points with an area each, on a logarithmic axis: accuracy against work, size as area."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from striate.draw.axes import Panel, linear_axis, logarithmic_axis
from striate.draw.figure import INK, MUTED, PAPER, Figure, text_width

_COLOURS = ("#2563eb", "#e8590c", "#15803d", "#7c3aed", "#d6336c", "#a16207", "#0e7490", "#475569")
_LARGEST = 30.0  # radius of the largest, in points
_SIZE = 10.0  # of a label
_PANEL = (820.0, 440.0)


class Bubble(NamedTuple):
    """A point.

    Args:
        label: beside it.
        x: positive.
        y: its height.
        size: what its area stands for.
        family: points of one family have one colour.
    """

    label: str
    x: float
    y: float
    size: float
    family: str


def bubbles(
    panels: Sequence[tuple[str, Sequence[Bubble]]],
    below: str,
    sizes: str,
    spell: Callable[[float], str],
) -> Figure:
    """Draw panels one above the other.

    Args:
        panels: what stands above each, and its points.
        below: what the horizontal axis is.
        sizes: what the areas are.
        spell: how a value of the horizontal axis, or a size, is written.
    """
    width, height = _PANEL
    figure = Figure(width + 230, len(panels) * (height + 120) + 20)
    families = list(dict.fromkeys(each.family for _, points in panels for each in points))
    for index, (title, points) in enumerate(panels):
        top = 60 + index * (height + 120)
        xs, ys = [each.x for each in points], [each.y for each in points]
        across = logarithmic_axis(min(xs) / 1.25, max(xs) * 1.6)
        across = type(across)(across.low, across.high, across.ticks, True, spell)
        panel = Panel(figure, (64, top, width, height), across, linear_axis(min(ys), max(ys)))
        panel.frame(title, below)
        most = max(each.size for each in points)
        _points(figure, panel, points, most, families)
        _sizes(figure, (width + 110, top + height), most, lambda size: f"{spell(size)} {sizes}")
    return figure


def _points(
    figure: Figure, panel: Panel, points: Sequence[Bubble], most: float, families: Sequence[str]
) -> None:
    """Draw the large ones first, then the labels where nothing is yet."""
    circles = [(*panel.at(each.x, each.y), _radius(each.size, most)) for each in points]
    order = sorted(range(len(points)), key=lambda index: -points[index].size)
    for index in order:
        x, y, radius = circles[index]
        colour = _COLOURS[families.index(points[index].family) % len(_COLOURS)]
        figure.circle((x, y), radius + 1, PAPER)
        figure.circle((x, y), radius, _pale(colour))
    for (x, y, _), point in zip(circles, points, strict=True):
        colour = _COLOURS[families.index(point.family) % len(_COLOURS)]
        figure.circle((x, y), 2.5, colour)
    taken: list[tuple[float, float, float, float]] = []
    right, bottom = panel.left + panel.width + 20, panel.top + panel.height
    for index in sorted(range(len(points)), key=lambda index: circles[index][2]):
        x, y, radius = circles[index]
        width = text_width(points[index].label, _SIZE)
        best = min(
            _around(x, y, radius, width),
            key=lambda box: _cost(box, taken, circles, (panel.left, panel.top - 8, right, bottom)),
        )
        taken.append(best)
        at = (best[0], best[3] - 2.5)
        nearest = (min(max(x, best[0]), best[2]), min(max(y, best[1]), best[3]))
        if math.dist(nearest, (x, y)) > radius + 6:
            figure.line((x, y), nearest, MUTED, 0.5)
        figure.text(at, points[index].label, size=_SIZE, fill=INK)


def _around(
    x: float, y: float, radius: float, width: float
) -> Iterator[tuple[float, float, float, float]]:
    """Yield places for a label, the nearest first: (left, top, right, bottom)."""
    for away in (4.0, 12.0, 22.0, 36.0, 52.0):
        for sixteenth in (0, 15, 1, 14, 2, 12, 4, 8, 7, 9, 13, 3, 10, 6, 11, 5):
            angle = math.tau * sixteenth / 16
            cx = x + (radius + away) * math.cos(angle)
            cy = y + (radius * 0.9 + away) * math.sin(angle)
            left = cx - width * (0.5 - 0.5 * math.cos(angle))
            yield (left, cy - 6.5, left + width, cy + 6.5)


def _cost(
    box: tuple[float, float, float, float],
    taken: Sequence[tuple[float, float, float, float]],
    circles: Sequence[tuple[float, float, float]],
    inside: tuple[float, float, float, float],
) -> float:
    """Return how much a label would hide; earlier places win where nothing is hidden."""
    left, top, right, bottom = box
    cost = 0.0
    for a, b, c, d in taken:
        cost += (
            50.0 * max(0.0, min(right, c) - max(left, a)) * max(0.0, min(bottom, d) - max(top, b))
        )
    for x, y, _ in circles:
        near = (min(max(x, left), right), min(max(y, top), bottom))
        cost += 400.0 if math.dist(near, (x, y)) < 4.5 else 0.0
    for x, y, radius in circles:
        near = (min(max(x, left), right), min(max(y, top), bottom))
        cost += 6.0 if math.dist(near, (x, y)) < min(radius, 14.0) else 0.0
    outside = max(inside[0] - left, 0) + max(right - inside[2], 0)
    return cost + 1000 * (outside + max(inside[1] - top, 0) + max(bottom - inside[3], 0))


def _sizes(
    figure: Figure, corner: tuple[float, float], most: float, spell: Callable[[float], str]
) -> None:
    """Draw the legend of areas upwards from a corner."""
    x, y = corner
    power = 10.0 ** math.floor(math.log10(most))
    for size in (power * (most // power), power / 2, power / 10):
        radius = _radius(size, most)
        figure.circle((x, y - radius), radius, "#e5e7eb")
        figure.text((x + 38, y - radius + 3.5), spell(size), size=9, fill=MUTED)
        y -= 2 * radius + 6


def _radius(size: float, most: float) -> float:
    return max(2.5, _LARGEST * math.sqrt(size / most))


def _pale(colour: str) -> str:
    channels = (int(colour[index : index + 2], 16) for index in (1, 3, 5))
    return "#{:02x}{:02x}{:02x}".format(*(round(255 - 0.3 * (255 - each)) for each in channels))

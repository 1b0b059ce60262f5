"""A few lines over one axis: accuracy against eps, agreement against shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from striate.draw.axes import Panel, linear_axis
from striate.draw.figure import MUTED, STROKES, Figure, Point, text_width


def lines(series: Mapping[str, Sequence[Point]], *, title: str, below: str) -> Figure:
    """Draw shares, 0 to 1, as lines over a quantity.

    Args:
        series: points by name, each line in order.
        title: what stands above.
        below: the name of the axis across.
    """
    across = [x for points in series.values() for x, _ in points]
    figure = Figure(620, 360)
    panel = Panel(
        figure,
        (64, 84, 520, 214),
        linear_axis(min(across, default=0), max(across, default=1), 6),
        linear_axis(0, 1, 5, label=lambda value: f"{100 * value:g}%"),
    )
    panel.frame("", below)
    figure.text((24, 34), title, size=15)
    left = 64.0
    for number, (name, points) in enumerate(series.items()):
        stroke = STROKES[number % len(STROKES)]
        panel.curve(points, stroke, 2)
        for point in points:
            figure.circle(panel.at(*point), 3, stroke)
        figure.line((left, 60), (left + 14, 60), stroke, 2.5)
        figure.text((left + 20, 63.5), name, size=10, fill=MUTED)
        left += 20 + text_width(name, 10) + 22
    return figure

"""Points in panels side by side: a score over each of several quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from striate.draw.axes import Axis, Panel
from striate.draw.figure import ADDED, BLUE, MUTED, ORANGE, Figure, Point, text_width

_WIDE, _HIGH, _LEFT, _TOP = 230.0, 200.0, 64.0, 112.0
_FILLS = ("#c7ccd4", "#8fb0f5", BLUE)
_ROW = 3  # panels


def points(
    panels: Sequence[tuple[str, Axis, Mapping[str, Sequence[Point]], Point | None]],
    up: Axis,
    *,
    title: str,
    note: str = "",
    added: Sequence[Sequence[tuple[float, float]]] = (),
) -> Figure:
    """Draw points in panels that share the axis up.

    Args:
        panels: name below, axis across, points by group (the same groups in each panel; later ones
            are drawn over earlier ones, in stronger colour), and a point that is marked.
        up: what all panels share.
        title: what stands above.
        note: one line under it.
        added: parts of each axis across that are shaded, from value to value.
    """
    across = min(len(panels), _ROW)
    rows = -(-len(panels) // _ROW)
    step_x, step_y = _WIDE + _LEFT, _HIGH + 72
    figure = Figure(
        max(24 + step_x * across + 16, 480, text_width(note, 10) + 48), _TOP + step_y * rows
    )
    figure.text((24, 34), title, size=15)
    figure.text((24, 54), note, size=10, fill=MUTED)
    groups = list(panels[0][2]) if panels else []
    left = 28.0
    for number, name in enumerate(groups):
        figure.circle((left, 76), 4, _fill(number, len(groups)))
        figure.text((left + 10, 79.5), name, size=10, fill=MUTED)
        left += 10 + text_width(name, 10) + 22
    for index, (below, axis, grouped, marked) in enumerate(panels):
        box = (
            _LEFT + step_x * (index % _ROW),
            _TOP - 8 + step_y * (index // _ROW),
            _WIDE,
            _HIGH,
        )
        panel = Panel(figure, box, axis, up)
        for low, high in added[index] if index < len(added) else ():
            (left, top), (right, _) = panel.at(low, up.high), panel.at(high, up.high)
            figure.rectangle(left, top, right - left, _HIGH, ADDED)
        panel.frame("", below)
        for number, name in enumerate(groups):
            for point in grouped[name]:
                figure.circle(panel.at(*point), 3.2, _fill(number, len(groups)))
        if marked is not None:
            figure.circle(panel.at(*marked), 5.5, ORANGE)
    return figure


def _fill(number: int, groups: int) -> str:
    return _FILLS[len(_FILLS) - min(groups, len(_FILLS)) + min(number, len(_FILLS) - 1)]

"""Parallel coordinates: a line a run through one axis a parameter, one of them marked."""

from __future__ import annotations

from collections.abc import Sequence

from striate.draw.axes import Axis
from striate.draw.figure import ADDED, GRID, INK, MUTED, ORANGE, Anchor, Figure, text_width

_TOP, _HEIGHT, _LEFT = 92.0, 300.0, 76.0
_FADED, _BEST = (0xE5, 0xE7, 0xEB), (0x25, 0x63, 0xEB)


def parallel(
    axes: Sequence[tuple[str, Axis]],
    rows: Sequence[Sequence[float]],
    *,
    title: str,
    note: str = "",
    added: Sequence[Sequence[tuple[float, float]]] = (),
    best: int | None = None,
) -> Figure:
    """Draw rows as lines through upright axes; the last axis is the score, greater is better.

    Args:
        axes: name and range of each.
        rows: one value an axis each.
        title: what stands above.
        note: one line under it.
        added: parts of each axis that are drawn in another colour, from value to value.
        best: the row that is marked; None marks none.
    """
    gap = max(118.0, 560.0 / max(len(axes) - 1, 1))
    wide = max(_LEFT * 2 + gap * (len(axes) - 1), text_width(note, 10) + 48)
    figure = Figure(wide, _TOP + _HEIGHT + 34)
    figure.text((24, 34), title, size=15)
    figure.text((24, 54), note, size=10, fill=MUTED)
    order = sorted(range(len(rows)), key=lambda row: rows[row][-1])
    shades = {row: (place / max(len(rows) - 1, 1)) ** 2 for place, row in enumerate(order)}
    for row in sorted(order, key=lambda row: row == best):  # the best on top of all
        points = [
            (_LEFT + gap * index, _TOP + (1 - min(max(axis.place(value), 0.0), 1.0)) * _HEIGHT)
            for index, ((_, axis), value) in enumerate(zip(axes, rows[row], strict=True))
        ]
        figure.polyline(
            points,
            ORANGE if row == best else _between(shades[row]),
            2.5 if row == best else 1.25,
        )
    for index, (name, axis) in enumerate(axes):
        parts = added[index] if index < len(added) else ()
        _axis(figure, _LEFT + gap * index, name, axis, parts, last=index == len(axes) - 1)
    return figure


def _axis(
    figure: Figure,
    x: float,
    name: str,
    axis: Axis,
    added: Sequence[tuple[float, float]],
    *,
    last: bool,
) -> None:
    """Draw an axis; the last one's labels stand at its right, where no lines are."""
    for part in added:
        low, high = (_TOP + (1 - axis.place(value)) * _HEIGHT for value in part)
        figure.line((x, high), (x, low), ADDED, 8)
    figure.line((x, _TOP), (x, _TOP + _HEIGHT), MUTED, 1)
    figure.text((x, _TOP - 14), name, size=11, fill=INK, anchor="middle")
    for tick in axis.ticks:
        y = _TOP + (1 - axis.place(tick)) * _HEIGHT
        label, side = axis.label(tick), 1 if last else -1
        figure.line((x + 4 * side, y), (x, y), MUTED, 0.75)
        if not last:
            width = text_width(label, 9)
            figure.rectangle(x - 9 - width, y - 6, width + 5, 12, "#ffffff")
        anchor: Anchor = "start" if last else "end"
        figure.text((x + 7 * side, y + 3), label, size=9, fill=MUTED, anchor=anchor)
    figure.line((x - 6, _TOP + _HEIGHT), (x + 6, _TOP + _HEIGHT), GRID, 0.75)


def _between(share: float) -> str:
    """Return a colour between grey and blue."""
    mixed = [round(a + share * (b - a)) for a, b in zip(_FADED, _BEST, strict=True)]
    return "#" + "".join(f"{each:02x}" for each in mixed)

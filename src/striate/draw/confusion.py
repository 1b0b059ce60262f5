"""The confusion matrix: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from striate.draw.figure import INK, MUTED, PAPER, Figure, text_width

_RIGHT, _WRONG, _EMPTY = (37, 99, 235), (232, 89, 12), "#f3f4f6"
_LONGEST = 22  # letters of a class name


def confusion(
    matrix: npt.ArrayLike, names: Sequence[str], title: str = "Confusion matrix"
) -> Figure:
    """Draw a confusion matrix, each cell shaded by its share of the row.

    Args:
        matrix: counts (true class, predicted class).
        names: the classes' labels, in the matrix's order.
        title: what stands above.

    What is right is blue, what is wrong orange, and shaded by the square root of its share, since
    it is the few mistakes one looks for. Counts stand in the cells up to 36 classes, names beside
    them up to 128.
    """
    counts = np.asarray(matrix, np.int64)
    number = len(names)
    if counts.shape != (number, number):
        raise ValueError(
            f"Expected a matrix of {number} x {number} counts for {number} names, "
            f"received {counts.shape}."
        )
    cell = float(max(1, min(44, 900 // number)))
    size = min(11.0, cell * 0.9) if cell >= 7 else 11.0
    labels = [_shorten(name) for name in names] if cell >= 7 else []
    margin = max((text_width(label, size) for label in labels), default=0.0)
    upright = margin > cell - 6
    left, top = 56 + margin, 92 + (margin if upright else size)
    side = cell * number
    figure = Figure(max(left + side + 40, text_width(title, 15) + 80), top + side + 40)
    figure.text((28, 34), title, size=15)
    figure.rectangle(left, top, side, side, _EMPTY)
    for index in range(1, number if cell >= 7 else 0):
        along = index * cell
        figure.line((left + along, top), (left + along, top + side), PAPER, 1)
        figure.line((left, top + along), (left + side, top + along), PAPER, 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        x, y, share = left + column * cell, top + row * cell, float(shares[row, column])
        gap = 0.5 if cell >= 7 else 0.0  # the white lines stay to be seen
        fill, ink = _shade(share, right=row == column)
        figure.rectangle(x + gap, y + gap, cell - 2 * gap, cell - 2 * gap, fill)
        if cell >= 25:
            middle = (x + cell / 2, y + cell / 2 + size * 0.36)
            written = _count(int(counts[row, column]))
            figure.text(middle, written, size=min(size, cell / 3), fill=ink, anchor="middle")
    for index, label in enumerate(labels):
        centre = (index + 0.5) * cell + size * 0.33
        figure.text((left - 7, top + centre), label, size=size, anchor="end")
        if upright:
            figure.text((left + centre, top - 7), label, size=size, upright=True)
        else:
            above = (left + (index + 0.5) * cell, top - 7)
            figure.text(above, label, size=size, anchor="middle")
    across, down = left + side / 2, top + side / 2
    figure.text((across, 72), "predicted", fill=MUTED, anchor="middle")
    figure.text((left - margin - 20, down), "true", fill=MUTED, anchor="middle", upright=True)
    return figure


def _shade(share: float, *, right: bool) -> tuple[str, str]:
    """Return a cell's colour, white to full, and the colour to write on it."""
    depth = share if right else share**0.5
    depth = 0.08 + 0.92 * depth
    channels = (round(255 + depth * (full - 255)) for full in (_RIGHT if right else _WRONG))
    return "#{:02x}{:02x}{:02x}".format(*channels), PAPER if depth > 0.6 else INK


def _count(number: int) -> str:
    """Write a count in at most four letters."""
    return f"{number}" if number < 10_000 else f"{number / 1000:.0f}k"


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 3] + "..."

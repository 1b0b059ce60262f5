"""A matrix of shares as coloured cells: how alike layers are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.draw.figure import INK, MUTED, Figure, text_width
from striate.draw.overlay import Floats, colours


def matrix(
    values: Floats, rows: Sequence[str], columns: Sequence[str], *, title: str, note: str = ""
) -> Figure:
    """Draw a matrix of 0 to 1, bright where it is near 1; small ones with their numbers.

    Args:
        values: (rows, columns).
        rows: names, from the top.
        columns: names, from the left.
        title: what stands above.
        note: one line under it.
    """
    cell = 46.0 if max(values.shape) <= 10 else max(12.0, 460 / max(values.shape))
    side = 24 + max(text_width(name, 10) for name in rows) + 10
    bottom = max(text_width(name, 10) for name in columns) + 24
    wide = max(side + cell * values.shape[1] + 24, text_width(title, 15) + 48)
    figure = Figure(wide, 72 + cell * values.shape[0] + bottom)
    figure.text((24, 34), title, size=15)
    figure.text((24, 54), note, size=10, fill=MUTED)
    shades = colours(np.concatenate([values.ravel(), [0.0, 1.0]])[None].clip(0, 1))[0]
    for row, name in enumerate(rows):
        y = 72 + row * cell
        figure.text((side - 8, y + cell / 2 + 3.5), name, size=10, fill=INK, anchor="end")
        for column in range(values.shape[1]):
            x = side + column * cell
            red, green, blue = shades[row * values.shape[1] + column].tolist()
            figure.rectangle(x, y, cell - 1, cell - 1, f"#{red:02x}{green:02x}{blue:02x}")
            if cell >= 40:
                dark = red + green + blue < 330
                figure.text(
                    (x + cell / 2, y + cell / 2 + 3.5),
                    f"{values[row, column]:.2f}",
                    size=10,
                    fill="#ffffff" if dark else INK,
                    anchor="middle",
                )
    for column, name in enumerate(columns):
        x = side + column * cell + cell / 2 + 3.5
        length = text_width(name, 10)
        figure.text((x, 72 + cell * values.shape[0] + 8 + length), name, size=10, upright=True)
    return figure

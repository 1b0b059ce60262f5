"""Images at places in the plane: a picture of what a network finds alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.draw.figure import MUTED, PAPER, Figure, Pixels, text_width
from striate.draw.overlay import Floats

_SIDE, _FRAME = 760.0, 3.0
_COLUMNS, _LINE, _LETTERS = 5, 18.0, 22  # of the legend, in points and letters of a name
# Far from one another and from white: by CIE94 any two differ by 22 or more.
HUES = (
    "#2563eb", "#e8590c", "#333333", "#00eeaa", "#005500", "#660033", "#ffaadd", "#008899",
    "#eedd00", "#88ddff", "#999999", "#dd1199", "#889955", "#553300", "#220099", "#ffbb99",
    "#004466", "#996666", "#99aaff", "#aa0011",
)  # fmt: skip


def scatter(
    images: Sequence[Pixels],
    places: Floats,
    labels: Sequence[int],
    names: Sequence[str],
    *,
    title: str,
    note: str = "",
) -> Figure:
    """Draw images at places, each in a frame of its class's colour; no two classes look alike.

    Beyond twenty classes colours come again, and each image has its class's number as well.

    Args:
        images: (height, width, 1 or 3) uint8 each.
        places: (images, 2), in any unit.
        labels: each one's class.
        names: of the classes; all are named below, beyond twenty those that are there.
        title: what stands above.
        note: one line under it.
    """
    many = len(names) > len(HUES)
    classes = sorted(set(labels)) if many else list(range(len(names)))
    hue = {label: HUES[place % len(HUES)] for place, label in enumerate(classes)}
    tile = float(np.clip(_SIDE / np.sqrt(len(images)) * 0.8, 14, 64))
    low, high = places.min(0), places.max(0)
    at = (places - low) / np.maximum(high - low, 1e-9) * (_SIDE - tile)
    rows = -(-len(classes) // _COLUMNS)
    figure = Figure(_SIDE + 48, _SIDE + 92 + rows * _LINE)
    figure.text((24, 34), title, size=15)
    figure.text((24, 54), note, size=10, fill=MUTED)
    for pixels, (x, y), label in zip(images, at.tolist(), labels, strict=True):
        left, top, side = 24 + x - _FRAME, 72 + y - _FRAME, tile + 2 * _FRAME
        figure.rectangle(left, top, side, side, hue[label])
        high_, wide = pixels.shape[:2]
        scale = tile / max(high_, wide)
        figure.image(24 + x, 72 + y, wide * scale, high_ * scale, pixels)
        if many:
            _number(figure, left, top, label)
    for index, label in enumerate(classes):
        x = 24 + index % _COLUMNS * (_SIDE / _COLUMNS)
        y = _SIDE + 92 + index // _COLUMNS * _LINE
        figure.rectangle(x, y - 8, 10, 10, hue[label])
        name = f"{label} {names[label]}" if many else names[label]
        figure.text((x + 16, y + 1), name[:_LETTERS], size=10, fill=MUTED)
    return figure


def _number(figure: Figure, left: float, top: float, label: int) -> None:
    """Write a class's number into the corner of its image."""
    figure.rectangle(left, top, text_width(str(label), 7) + 3, 9, PAPER)
    figure.text((left + 1.5, top + 7), str(label), size=7)

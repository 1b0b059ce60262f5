"""Images at places in the plane: a picture of what a network finds alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.draw.figure import MUTED, Figure, Pixels
from striate.draw.overlay import Floats

_SIDE = 760.0
HUES = (
    "#2563eb", "#e8590c", "#0f766e", "#7c3aed", "#be185d",
    "#65a30d", "#0891b2", "#b45309", "#475569", "#dc2626",
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
    """Draw images at places, each in a frame of its class's colour.

    Args:
        images: (height, width, 1 or 3) uint8 each.
        places: (images, 2), in any unit.
        labels: each one's class.
        names: of the classes; the first ten are named below.
        title: what stands above.
        note: one line under it.
    """
    tile = float(np.clip(_SIDE / np.sqrt(len(images)) * 0.8, 14, 64))
    low, high = places.min(0), places.max(0)
    at = (places - low) / np.maximum(high - low, 1e-9) * (_SIDE - tile)
    figure = Figure(_SIDE + 48, _SIDE + 128)
    figure.text((24, 34), title, size=15)
    figure.text((24, 54), note, size=10, fill=MUTED)
    for pixels, (x, y), label in zip(images, at.tolist(), labels, strict=True):
        figure.rectangle(24 + x - 2, 72 + y - 2, tile + 4, tile + 4, HUES[label % len(HUES)])
        high_, wide = pixels.shape[:2]
        scale = tile / max(high_, wide)
        figure.image(24 + x, 72 + y, wide * scale, high_ * scale, pixels)
    for index, name in enumerate(names[: len(HUES)]):
        x, y = 24 + index % 5 * (_SIDE / 5), _SIDE + 92 + index // 5 * 18
        figure.rectangle(x, y - 8, 10, 10, HUES[index])
        figure.text((x + 16, y + 1), name[:22], size=10, fill=MUTED)
    return figure

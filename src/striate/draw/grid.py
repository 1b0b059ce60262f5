"""A grid of images, each with a caption: the mistakes of a network, a batch as it was fed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from striate.draw.figure import INK, MUTED, Figure, Pixels, text_width

_GAP, _LINE, _CAPTION, _SENTENCE = 14.0, 13.0, 10.0, 11.0


def grid(
    images: Sequence[Pixels],
    captions: Sequence[str] = (),
    *,
    title: str = "",
    note: str = "",
    columns: int | None = None,
    tile: float = 104.0,
) -> Figure:
    """Draw images row by row, each centred in a square tile above its caption.

    Args:
        images: uint8 arrays, (height, width) or (height, width, 1 or 3); sizes may differ.
        captions: one an image, or none; lines are separated by a newline, and the first is darker.
        title: what stands above.
        note: a sentence under the title, in as many lines as it takes.
        columns: tiles in a row; chosen where it is not given.
        tile: side of a tile in points.
    """
    columns = columns or max(1, min(8, math.ceil(math.sqrt(len(images) * 1.6))))
    rows = math.ceil(len(images) / columns)
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    pitch = tile + _GAP + lines * _LINE + (6 if lines else 0)
    width = 48 + columns * (tile + _GAP) - _GAP
    width = max(width, text_width(title, 15) + 48)
    said = _lines(note, width - 48)
    head = (52.0 if title else 24.0) + len(said) * (_LINE + 2)
    figure = Figure(width, head + rows * pitch + 12)
    figure.text((24, 34), title, size=15)
    for number, line in enumerate(said):
        figure.text((24, 52 + number * (_LINE + 2)), line, fill=MUTED)
    for index, pixels in enumerate(images):
        x = 24 + index % columns * (tile + _GAP)
        y = head + index // columns * pitch
        high, wide = pixels.shape[:2]
        scale = tile / max(high, wide)
        inside = (x + (tile - wide * scale) / 2, y + (tile - high * scale) / 2)
        figure.rectangle(x, y, tile, tile, "#f3f4f6")
        figure.image(*inside, wide * scale, high * scale, pixels)
        for number, text in enumerate(captions[index].split("\n") if captions else ()):
            below = (x, y + tile + 14 + number * _LINE)
            shown = _fit(text, tile)
            figure.text(below, shown, size=_CAPTION, fill=MUTED if number else INK)
    return figure


def _lines(text: str, width: float) -> list[str]:
    """Break a sentence between its words into lines that fit."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, _SENTENCE) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fit(text: str, width: float) -> str:
    """Cut a line at its end so that it fits."""
    if text_width(text, _CAPTION) <= width:
        return text
    while text and text_width(text + "...", _CAPTION) > width:
        text = text[:-1]
    return text.rstrip() + "..."

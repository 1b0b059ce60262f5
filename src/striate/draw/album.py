"""A folder of pictures and tables that belong together, and what is said of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from striate.draw.figure import Figure, Pixels
from striate.records import Record

_SIDE = 256  # pixels that a small image is enlarged to, at least


class Picture(Record, frozen=True, kw_only=True):
    """A picture in the folder.

    Args:
        file: its name, relative to the folder.
        title: one line.
        note: what was measured, or what to look at.
        reasons: why it is not to be believed; none where it is, or where nothing was tested.
        measures: numbers, by name.
    """

    file: str
    title: str
    note: str = ""
    reasons: tuple[str, ...] = ()
    measures: dict[str, float] = {}


class Section(Record, frozen=True, kw_only=True):
    """Pictures that belong together.

    Args:
        name: a word without spaces.
        title: one line.
        text: one or two sentences.
        pictures: in order.
        table: rows of cells, the header first; none where it is empty.
    """

    name: str
    title: str
    text: str
    pictures: tuple[Picture, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


class Album:
    """A folder that pictures are put into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, shown: Figure | Pixels) -> str:
        """Save a figure, or an image enlarged by whole pixels; returns the file's name."""
        file = f"{name}.png"
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(shown, Figure):
            shown.save(self.folder / file)
        else:
            times = max(1, -(-_SIDE // max(shown.shape[:2])))
            flat = shown[..., 0] if shown.shape[-1] == 1 else shown
            large = np.repeat(np.repeat(flat, times, 0), times, 1)
            Image.fromarray(large).save(self.folder / file)
        return file

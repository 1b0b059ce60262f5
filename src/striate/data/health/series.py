"""Frames of one scene, a film's or a burst's, that lie in more than one part.

Names alone tell them where they hold a scene's number beside the frame's (`film07_frame3`). Where
they end in one number (`frame_0004`), it may as well count the images of a class, dealt at random:
then only neighbours in number count that also look alike, far more than either looks like any image
beyond its neighbourhood, as frames of one scene do.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate.data.health.pairs import TINY, apartness, grouped

_MOST_GROUP = 0.05  # a group of files larger than this share of all is a naming habit
_FRAME = re.compile(r"[-_. ]*(frame|img|crop|copy)?[-_. ]*\(?\d+\)?$", re.I)
_NUMBER = re.compile(r"(\d+)\)?$")
_ALIKE = 0.7  # correlation of two frames' small pictures
_NEARER = 0.6  # most that their distance is, of that to the nearest image beyond the neighbourhood
_NEIGHBOURHOOD = 8  # numbers either way, which may be of the same scene


class Frame(NamedTuple):
    """An image by what may make it a frame: its id, class, part and short side in pixels."""

    id: str
    label: int
    part: str
    side: int


def across_parts(frames: Sequence[Frame], thumbnails: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Return series that reach over parts, as places.

    Args:
        frames: all images.
        thumbnails: of them, (n, 32, 32).
    """
    if len({frame.part for frame in frames}) < 2:
        return []
    groups = grouped([*_by_name(frames), *_by_likeness(frames, thumbnails)])
    return [group for group in groups if len({frames[place].part for place in group}) > 1]


def _by_name(frames: Sequence[Frame]) -> list[list[int]]:
    """Return images whose names differ in a number at the end, and have another before it."""
    found: dict[str, list[int]] = {}
    for place, frame in enumerate(frames):
        path = PurePosixPath(frame.id)
        shorter = _FRAME.sub("", path.stem)
        if path.suffix and shorter != path.stem and re.search(r"\d", shorter):
            found.setdefault(shorter, []).append(place)
    most = max(_MOST_GROUP * len(frames), 2)
    return [group for group in found.values() if 1 < len(group) <= most]


def _by_likeness(frames: Sequence[Frame], thumbnails: npt.NDArray[np.uint8]) -> list[list[int]]:
    """Return pairs of neighbours in number that look alike as only frames of one scene do."""
    numbered: dict[Hashable, dict[int, int]] = {}
    for place, frame in enumerate(frames):
        path = PurePosixPath(frame.id)
        number = _NUMBER.search(path.stem)
        if path.suffix and number and frame.side > TINY:
            name = path.stem[: number.start()]
            key = (frame.label, path.parts[1:-1], name)  # the first folder is the part's
            numbered.setdefault(key, {}).setdefault(int(number[1]), place)
    pairs, around = [], []
    for by_number in numbered.values():
        row = [by_number[number] for number in sorted(by_number)]
        for at in range(len(row) - 1):
            pairs.append((row[at], row[at + 1]))
            around.append(row[max(at - _NEIGHBOURHOOD, 0) : at + 2 + _NEIGHBOURHOOD])
    return [
        list(pair)
        for pair, apart in zip(pairs, apartness(thumbnails, pairs, around, _ALIKE), strict=True)
        if apart < _NEARER
    ]

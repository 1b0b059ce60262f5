"""Frames of one scene, a film's or a burst's, that lie in more than one part.

Names alone tell them where they hold a scene's number beside the frame's (`film07_frame3`), and
frames follow one another. All else may be chance: small images and images of several classes, which
are seldom frames; numbers far apart, and hexadecimal ones (`a00b917`), which count nothing; and
names that end in one number (`frame_0004`), which may count the images of a class, dealt at random.
Then neighbours in number also have to look alike, far more than either looks like any image beyond
its neighbourhood, as frames of one scene do.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from striate.data.health.pairs import TINY, apartness, grouped

_MOST_GROUP = 0.05  # a group of files larger than this share of all is a naming habit
_FRAME = re.compile(r"[-_. ]*(frame|img|crop|copy)?[-_. ]*\(?\d+\)?$", re.I)
_NUMBER = re.compile(r"(\d+)\)?$")
_HEXADECIMAL = re.compile(r"\d[a-f]+\d+$", re.I)
_DENSE = 4  # most numbers for each frame, unless they are evenly spaced
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
    named, doubtful = _by_name(frames)
    rows = [(row, len(row)) for row in doubtful]
    rows += [(row, _NEIGHBOURHOOD) for row in _rows(frames)]
    groups = grouped([*named, *_alike(rows, thumbnails)])
    return [group for group in groups if len({frames[place].part for place in group}) > 1]


def _by_name(frames: Sequence[Frame]) -> tuple[list[list[int]], list[list[int]]]:
    """Return images whose names differ in a number at the end, and have another before it.

    Returns:
        Groups that are series by their names, and those that have to look alike as well, in the
        order of their numbers.
    """
    found: dict[str, list[int]] = {}
    for place, frame in enumerate(frames):
        path = PurePosixPath(frame.id)
        shorter = _FRAME.sub("", path.stem)
        if path.suffix and shorter != path.stem and re.search(r"\d", shorter):
            found.setdefault(shorter, []).append(place)
    most = max(_MOST_GROUP * len(frames), 2)
    series, doubtful = [], []
    for group in found.values():
        if 1 < len(group) <= most:
            members = [frames[place] for place in group]
            large = all(frame.side > TINY for frame in members)
            if large and len({frame.label for frame in members}) == 1 and _counted(members):
                series.append(group)
            else:
                doubtful.append(sorted(group, key=lambda place: _number(frames[place])))
    return series, doubtful


def _counted(frames: Sequence[Frame]) -> bool:
    """Tell whether the numbers at the ends of names follow one another, as frames do."""
    if any(_HEXADECIMAL.search(PurePosixPath(frame.id).stem) for frame in frames):
        return False
    numbers = sorted({_number(frame) for frame in frames})
    steps = {after - before for before, after in pairwise(numbers)}
    even = len(numbers) > 2 and len(steps) == 1
    return even or numbers[-1] - numbers[0] < _DENSE * len(frames)


def _number(frame: Frame) -> int:
    """Return the number that a name ends in; -1 where it ends in none."""
    found = _NUMBER.search(PurePosixPath(frame.id).stem)
    return int(found[1]) if found else -1


def _rows(frames: Sequence[Frame]) -> list[list[int]]:
    """Return the images of each class and folder whose names end in a number, in that order."""
    numbered: dict[Hashable, dict[int, int]] = {}
    for place, frame in enumerate(frames):
        path = PurePosixPath(frame.id)
        number = _NUMBER.search(path.stem)
        if path.suffix and number and frame.side > TINY:
            name = path.stem[: number.start()]
            key = (frame.label, path.parts[1:-1], name)  # the first folder is the part's
            numbered.setdefault(key, {}).setdefault(int(number[1]), place)
    return [[places[number] for number in sorted(places)] for places in numbered.values()]


def _alike(
    rows: Sequence[tuple[Sequence[int], int]], thumbnails: npt.NDArray[np.uint8]
) -> list[list[int]]:
    """Return pairs of neighbours that look alike as only frames of one scene do.

    Args:
        rows: images in order, and how many to either side may be of the same scene.
        thumbnails: (n, 32, 32).
    """
    pairs, around = [], []
    for row, beside in rows:
        for at in range(len(row) - 1):
            pairs.append((row[at], row[at + 1]))
            around.append(row[max(at - beside, 0) : at + 2 + beside])
    return [
        list(pair)
        for pair, apart in zip(pairs, apartness(thumbnails, pairs, around, _ALIKE), strict=True)
        if apart < _NEARER
    ]

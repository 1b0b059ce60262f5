"""A data set: classes, and samples in parts.

Every source (class folders, IDX, CIFAR, npz, CSV) is read into these few nouns, and nothing behind
them knows where the images came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from striate.contract import Class
from striate.data.samples import Samples
from striate.errors import DataError

PARTS = ("train", "validation", "test", "all")


class Skipped(NamedTuple):
    """A file left out, and why, in one sentence that names it."""

    path: str
    reason: str


class Sizes(NamedTuple):
    """(height, width) in pixels, each side on its own: the least, the median and the most."""

    least: tuple[int, int]
    median: tuple[int, int]
    most: tuple[int, int]


@dataclass(frozen=True)
class Dataset:
    """Images with labels, as found.

    Args:
        name: what it is called.
        spec: what `data.open` takes to open it again; a path is absolute.
        classes: what label 0, 1, ... stands for.
        parts: samples by part: `train`, `validation` and `test`, or `all` where the source has no
            split.
        skipped: files that could not be used.
        notes: what else a reader should know, in whole sentences.
        lacking: ids of classes that the source has a place for, but no image to train on.

    Raises:
        DataError: there is no image at all.
    """

    name: str
    spec: str
    classes: tuple[Class, ...]
    parts: Mapping[str, Samples]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = field(default=())
    lacking: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not any(len(samples) for samples in self.parts.values()):
            raise DataError(
                f"There is no image that can be used in {self.spec}: --strict says what is wrong "
                "with the first."
            )

    @property
    def channels(self) -> Literal["grey", "rgb"]:
        """What most images have."""
        grey = sum(int(samples.grey.sum()) for samples in self.parts.values())
        return "grey" if 2 * grey > sum(map(len, self.parts.values())) else "rgb"

    def check_classes(self) -> None:
        """Refuse data that lacks images of a class.

        Raises:
            DataError: names the classes.
        """
        if self.lacking:
            raise DataError(
                f"Expected images to train on of every class of {self.spec}, received none that "
                f"can be used of {some(self.lacking)}: add some, or take the class away."
            )

    def sizes(self) -> Sizes:
        """Return what sizes the images have, over all parts."""
        sizes = np.concatenate([samples.sizes for samples in self.parts.values()])
        height, width = np.median(sizes, axis=0).astype(int).tolist()
        return Sizes(_pair(sizes.min(axis=0)), (height, width), _pair(sizes.max(axis=0)))


def classes_of(ids: list[str] | tuple[str, ...]) -> tuple[Class, ...]:
    """Return classes whose labels are their ids.

    Example:
        >>> [one.id for one in classes_of(("cat", "dog"))]
        ['cat', 'dog']
    """
    return tuple(Class(id=id, label=id) for id in ids)


def in_order(ids: set[str]) -> list[str]:
    """Sort class ids: as numbers where all are numbers, as text otherwise.

    Example:
        >>> in_order({"10", "9"}), in_order({"b", "a"})
        (['9', '10'], ['a', 'b'])
    """
    if all(id.isascii() and id.isdigit() for id in ids):
        return sorted(ids, key=lambda id: (int(id), id))
    return sorted(ids)


def some(ids: Sequence[str]) -> str:
    """Name up to five class ids, and say how many more there are.

    Example:
        >>> some(["a", "b"]), some([str(number) for number in range(8)])
        ('a, b', '0, 1, 2, 3, 4 and 3 more')
    """
    shown = ", ".join(ids[:5])
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"


def _pair(values: npt.NDArray[np.int64]) -> tuple[int, int]:
    return int(values[0]), int(values[1])

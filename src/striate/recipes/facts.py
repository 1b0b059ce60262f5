"""What a recipe is chosen by: a few facts of the data, in one frozen record."""

from __future__ import annotations

from typing import Literal

from striate.data import Dataset
from striate.records import Record


class DataFacts(Record, frozen=True, kw_only=True):
    """A data set as far as recipes care.

    Args:
        name: what it is called.
        path: as `data.open` takes it.
        count: images to train on, about.
        classes: how many.
        channels: what most images have.
        size: (height, width) of the median image, in pixels.
        uniform: whether all images have that size.
    """

    name: str
    path: str
    count: int
    classes: int
    channels: Literal["grey", "rgb"]
    size: tuple[int, int]
    uniform: bool

    @property
    def short_side(self) -> int:
        """The shorter side of the median image, in pixels."""
        return min(self.size)

    @property
    def channel_count(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.channels == "grey" else 3


def facts_of(dataset: Dataset) -> DataFacts:
    """Gather the facts of an open data set."""
    sizes = dataset.sizes()
    training = dataset.parts.get("train", dataset.parts.get("all"))
    return DataFacts(
        name=dataset.name,
        path=dataset.spec,
        count=len(training) if training is not None else 0,
        classes=len(dataset.classes),
        channels=dataset.channels,
        size=sizes.median,
        uniform=sizes.least == sizes.most,
    )

"""Batches: which images they are made of, and the pass that gathers and normalises them.

Which image comes when is a pure function of seed, epoch and batch size. The processes that share a
batch take contiguous slices of it, so their number changes nothing but who computes what.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from torch import Tensor

from striate.data.sampling import Sampling
from striate.errors import UsageError
from striate.randomness import stream

Indices = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """One process's share of a batch.

    Args:
        images: (rows, channels, height, width) float32, contiguous; there may be no rows.
        labels: (rows,) int64.
        indices: places in the samples: (rows,) int64.
        total: rows of the whole batch, over all processes.
        offset: where this share begins in it.
    """

    images: Tensor
    labels: Tensor
    indices: Indices
    total: int
    offset: int


class Share(NamedTuple):
    """What a batch is made from.

    Args:
        indices: places in the samples.
        total: rows of the whole batch.
        offset: where this share begins in it.
        chances: the images' addresses for everything random: their places, and for one that comes
            again in an epoch another number.
    """

    indices: Indices
    total: int
    offset: int
    chances: Indices


class Order:
    """The batches of each epoch.

    Args:
        labels: of all images.
        batch: images in a batch, over all processes.
        seed: of the order; None keeps the images as they come.
        rank: of this process.
        world: how many processes share a batch.
        sampling: which images come, and what becomes of the last ones.

    Raises:
        UsageError: the last images are to be dropped, and there is no whole batch.

    Example:
        >>> labels = np.zeros(9, np.int64)
        >>> [len(each.indices) for each in Order(labels, 4, None, 0, 1).epoch(0)]
        [4, 5]
        >>> [each.indices.tolist() for each in Order(labels[:5], 5, None, 1, 2).epoch(0)]
        [[3, 4]]
    """

    def __init__(
        self,
        labels: Indices,
        batch: int,
        seed: int | None,
        rank: int,
        world: int,
        sampling: Sampling | None = None,
    ) -> None:
        self.labels, self.seed, self.rank, self.world = labels, seed, rank, world
        self.sampling = sampling or Sampling()
        self.edges = _edges(len(labels), batch, self.sampling.last)

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return len(self.edges) - 1

    def epoch(self, epoch: int, start: int = 0) -> list[Share]:
        """Return this process's shares of an epoch's batches, from batch `start` on."""
        count = len(self.labels)
        order, repeats = np.arange(count, dtype=np.int64), np.zeros(count, np.int64)
        if self.seed is not None:
            order, repeats = self.sampling.draw(self.labels, stream(self.seed, "order", epoch))
        chances = order + count * repeats
        beyond = self.edges[-1] - count
        if beyond > 0:  # the epoch's first images again, with other chances
            again = np.resize(np.arange(count), beyond)
            turn = 1 + repeats.max() + np.arange(beyond) // count
            order = np.concatenate([order, order[again]])
            chances = np.concatenate([chances, order[again] + count * turn])
        return [self._share(order[a:b], chances[a:b]) for a, b in self._spans()[start:]]

    def _spans(self) -> list[tuple[int, int]]:
        return list(zip(self.edges[:-1], self.edges[1:], strict=True))

    def _share(self, indices: Indices, chances: Indices) -> Share:
        each, more = divmod(len(indices), self.world)
        first = self.rank * each + min(self.rank, more)
        last = first + each + (self.rank < more)
        return Share(indices[first:last], len(indices), first, chances[first:last])


def _edges(count: int, batch: int, last: str) -> list[int]:
    """Return where batches begin, and where the last one ends."""
    if last == "pad":
        return list(range(0, -(-count // batch) * batch + 1, batch))
    if last == "drop":
        if count and count < batch:
            raise UsageError(
                "Expected at least a batch of images where the last ones are dropped, received "
                f"{count} images and batch={batch}: say --set sampling.last=keep, or take a "
                "smaller batch."
            )
        return list(range(0, count + 1, batch))
    starts = list(range(0, count, batch))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [*starts, count]


@numba.njit(nogil=True, cache=True)
def gather(stack: Any, rows: Any, slope: Any, offset: Any, out: Any) -> None:
    """Normalise chosen images, out[i, c, y, x] = stack[rows[i], y, x, c] * slope[c] + offset[c].

    Args:
        stack: (n, height, width, channels) uint8.
        rows: (batch,) int64.
        slope: (channels,) float32.
        offset: (channels,) float32.
        out: (batch, channels, height, width) float32, written to.
    """
    _, height, width, channels = stack.shape
    levels = np.empty((channels, 256), np.float32)
    for c in range(channels):
        for level in range(256):
            levels[c, level] = np.float32(level) * slope[c] + offset[c]
    for i in range(len(rows)):
        row = rows[i]
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    out[i, c, y, x] = levels[c, stack[row, y, x, c]]

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
    """What a batch is made from: places in the samples, and where they lie in the whole batch."""

    indices: Indices
    total: int
    offset: int


class Order:
    """The batches of each epoch.

    A last batch of one image, over which batch normalisation has no variance, joins the one before.

    Args:
        count: how many images there are.
        batch: images in a batch, over all processes.
        seed: of the order; None keeps the images as they come.
        rank: of this process.
        world: how many processes share a batch.

    Example:
        >>> [len(each.indices) for each in Order(9, 4, None, 0, 1).epoch(0)]
        [4, 5]
        >>> [each.indices.tolist() for each in Order(5, 5, None, 1, 2).epoch(0)]
        [[3, 4]]
    """

    def __init__(self, count: int, batch: int, seed: int | None, rank: int, world: int) -> None:
        self.count, self.seed, self.rank, self.world = count, seed, rank, world
        starts = list(range(0, count, batch))
        if len(starts) > 1 and count - starts[-1] == 1:
            starts.pop()
        self.edges = [*starts, count]

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return len(self.edges) - 1

    def epoch(self, epoch: int, start: int = 0) -> list[Share]:
        """Return this process's shares of an epoch's batches, from batch `start` on."""
        order = np.arange(self.count, dtype=np.int64)
        if self.seed is not None:
            order = stream(self.seed, "order", epoch).permutation("images", self.count)
        return [self._share(order[a:b]) for a, b in self._spans()[start:]]

    def _spans(self) -> list[tuple[int, int]]:
        return list(zip(self.edges[:-1], self.edges[1:], strict=True))

    def _share(self, indices: Indices) -> Share:
        each, more = divmod(len(indices), self.world)
        first = self.rank * each + min(self.rank, more)
        last = first + each + (self.rank < more)
        return Share(indices[first:last], len(indices), first)


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

"""Which images an epoch shows, and in which order: a pure function of seed and epoch.

Usually each image once, in an order of its own. Rare classes can be shown as often as common ones;
a packed file larger than memory can be read in blocks, which the disk likes, shuffled inside a
window of some blocks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from striate.errors import ContractError
from striate.randomness import Stream
from striate.records import Record, expect

Indices = npt.NDArray[np.int64]

_WINDOW = 16  # blocks whose images are shuffled together


class Drawn(NamedTuple):
    """The images of an epoch.

    Args:
        indices: places in the samples, in order: (n,).
        repeats: how often each image came before, within the epoch: (n,).
    """

    indices: Indices
    repeats: Indices


class Sampling(Record, frozen=True, kw_only=True):
    """How training images are drawn.

    Args:
        classes: `as_found` shows each image once an epoch; `balanced` shows every class equally
            often; weights, one a class, show classes in that proportion. An epoch has as many
            images in any case; those of rare classes come repeatedly, each time augmented anew.
        block: read so many neighbouring images together (a packed set larger than memory: 256);
            0 draws from all images at once.
        last: what becomes of the last images of an epoch, if they do not fill a batch: `keep`
            makes a smaller batch of them (but a single one, over which batch normalisation has no
            variance, joins the batch before), `drop` leaves them out until the next epoch, `pad`
            fills the batch with the epoch's first images.
    """

    classes: Literal["as_found", "balanced"] | tuple[float, ...] = "as_found"
    block: int = 0
    last: Literal["keep", "drop", "pad"] = "keep"

    def __post_init__(self) -> None:
        expect(self.block >= 0, "a block of at least 0 images", block=self.block)
        if not isinstance(self.classes, str):
            fine = all(weight >= 0 for weight in self.classes) and sum(self.classes) > 0
            expect(fine, "weights of classes from 0, and one above", classes=self.classes)
        even = self.block == 0 or self.classes == "as_found"
        expect(even, "block=0 where classes are weighted", block=self.block)

    def check(self, classes: int) -> None:
        """Refuse weights of another number of classes.

        Raises:
            ContractError: gives both numbers.
        """
        if not isinstance(self.classes, str) and len(self.classes) != classes:
            raise ContractError(
                f"Expected one weight for each of {classes} classes, received "
                f"{len(self.classes)}: --set sampling.classes=balanced weighs them by their images."
            )

    def draw(self, labels: Indices, stream: Stream) -> Drawn:
        """Return an epoch's images.

        Args:
            labels: of all samples.
            stream: the epoch's.

        Example:
            >>> from striate.randomness import stream
            >>> labels = np.array([0] * 9 + [1])
            >>> drawn = Sampling(classes="balanced").draw(labels, stream(0))
            >>> np.bincount(labels[drawn.indices]).tolist(), drawn.repeats.max().item()
            ([5, 5], 4)
        """
        count = len(labels)
        if self.classes != "as_found":
            return self._weighted(labels, stream)
        order = stream.permutation("images", count)
        if self.block:
            order = _in_blocks(order, self.block, stream)
        return Drawn(order, np.zeros(count, np.int64))

    def _weighted(self, labels: Indices, stream: Stream) -> Drawn:
        counts = np.bincount(labels)
        weights = np.ones(len(counts))
        if not isinstance(self.classes, str):
            weights = np.asarray(self.classes, np.float64)[: len(counts)]
        quotas = _quotas(np.where(counts > 0, weights, 0.0), len(labels))
        indices, repeats = [], []
        for label in np.flatnonzero(quotas).tolist():
            own = np.flatnonzero(labels == label)
            order = own[stream.fold("class", label).permutation("images", len(own))]
            turns = np.arange(quotas[label])
            indices.append(order[turns % len(own)])
            repeats.append(turns // len(own))
        mixed = stream.permutation("mixed", int(quotas.sum()))
        return Drawn(np.concatenate(indices)[mixed], np.concatenate(repeats)[mixed])


def _quotas(weights: npt.NDArray[np.float64], count: int) -> Indices:
    """Share `count` by weight, the largest remainders first."""
    exact = weights * (count / weights.sum()) if weights.sum() else np.zeros(len(weights))
    quotas = np.floor(exact).astype(np.int64)
    quotas[np.argsort(quotas - exact, kind="stable")[: count - quotas.sum()]] += 1
    return quotas


def _in_blocks(order: Indices, block: int, stream: Stream) -> Indices:
    """Return blocks of neighbours in random order, shuffled within windows of some blocks.

    Args:
        order: a permutation of all images; where an image comes in it decides within its window.
        block: images in one.
        stream: the epoch's.
    """
    count = len(order)
    blocks = -(-count // block)
    place = np.empty(blocks, np.int64)
    place[stream.permutation("blocks", blocks)] = np.arange(blocks)
    window = place[order // block] // _WINDOW
    return order[np.argsort(window, kind="stable")]

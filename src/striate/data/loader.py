"""Batches for training and evaluation, the same whoever prepares them.

Every batch is a pure function of (seed, epoch, its number), so threads only decide when it is made:
with 0, 1 or 4 workers, from any batch on, and in any number of processes the images are the same to
the bit. Workers are threads, since decoding, resampling and normalising release the interpreter;
there is nothing to pickle, to share or to lose.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch

from striate.contract import Contract
from striate.data.augmentation import Augmentation
from striate.data.augmenter import Augmenter
from striate.data.batch import Batch, Order, Share, gather
from striate.data.prepare import fits, normalisation, prepare
from striate.data.samples import Samples
from striate.errors import UsageError
from striate.randomness import stream

Floats = npt.NDArray[np.float32]

_AHEAD = 2  # batches a worker may be ahead


class Loader:
    """Makes batches of samples.

    Args:
        samples: the images.
        contract: what they go through.
        batch: images in a batch, over all processes; the last one may have fewer, or one more.
        seed: of order and augmentation.
        augmentation: random changes, in order; none leaves the images as the contract makes them.
        shuffle: draw a new order each epoch.
        rank: of this process.
        world: how many processes share each batch.
        workers: threads that prepare batches; 0 prepares them when they are asked for.

    Raises:
        UsageError: a number that makes no sense.

    Example:
        >>> import striate.data
        >>> from striate.contract import Contract
        >>> digits = striate.data.open("digits")
        >>> contract = Contract(classes=digits.classes, channels="grey", size=(8, 8),
        ...                     mean=(0.3,), std=(0.4,))
        >>> loader = Loader(digits.parts["all"], contract, batch=64, seed=0, shuffle=True)
        >>> first = next(loader.epoch(0))
        >>> loader.batches, tuple(first.images.shape)
        (29, (64, 1, 8, 8))
    """

    def __init__(
        self,
        samples: Samples,
        contract: Contract,
        *,
        batch: int,
        seed: int,
        augmentation: Sequence[Augmentation] = (),
        shuffle: bool,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> None:
        if batch < 1 or workers < 0 or not 0 <= rank < world:
            raise UsageError(
                f"Expected batch >= 1, workers >= 0 and 0 <= rank < world, received batch={batch}, "
                f"workers={workers}, rank={rank}, world={world}."
            )
        self.samples, self.contract, self.seed, self.workers = samples, contract, seed, workers
        self.order = Order(len(samples), batch, seed if shuffle else None, rank, world)
        self.augmenter = Augmenter(augmentation, contract) if augmentation else None
        self.slope, self.offset = normalisation(contract)
        self.stack = samples.stacked(contract)
        if self.stack is not None and not fits(self.stack.shape[1:3], contract):
            self.stack = None

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return self.order.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's share of an epoch's batches.

        Args:
            epoch: from 0; each has its own order and its own augmentation.
            start: the first batch, to go on within an epoch.

        Raises:
            DataError: a file is gone or damaged since the data set was opened.
        """
        shares = self.order.epoch(epoch, start)
        if self.workers == 0 or (self.stack is not None and self.augmenter is None):
            return (self._make(share, epoch) for share in shares)  # a gather is not worth a thread
        return self._ahead(shares, epoch)

    def images(self, indices: Sequence[int], epoch: int) -> Floats:
        """Return some images as an epoch shows them, in whatever batch they come.

        Args:
            indices: places in the samples.
            epoch: from 0.

        Returns:
            (indices, channels, height, width) float32.
        """
        places = np.asarray(indices, np.int64)
        return np.asarray(self._make(Share(places, len(places), 0), epoch).images.numpy())

    def _ahead(self, shares: Sequence[Share], epoch: int) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="striate-loader")
        try:
            for share in shares:
                waiting.append(pool.submit(self._make, share, epoch))
                if len(waiting) > _AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # may be a garbage collector's doing

    def _make(self, share: Share, epoch: int) -> Batch:
        images = np.empty((len(share.indices), *self.contract.shape), np.float32)
        if self.augmenter is not None:
            self._augment(self.augmenter, share.indices, epoch, images)
        elif self.stack is not None:
            gather(self.stack, share.indices, self.slope, self.offset, images)
        else:
            for row, index in enumerate(share.indices.tolist()):
                images[row] = prepare(self.samples.pixels(index, self.contract), self.contract)
        return Batch(
            torch.from_numpy(images),
            torch.from_numpy(self.samples.labels[share.indices]),
            share.indices,
            share.total,
            share.offset,
        )

    def _augment(
        self, augmenter: Augmenter, indices: npt.NDArray[np.int64], epoch: int, images: Floats
    ) -> None:
        draws = augmenter.draw(stream(self.seed, "augment", epoch, indices))
        if self.stack is not None:
            augmenter.apply_all(draws, self.stack, indices, images)
            return
        sizes = self.samples.sizes[indices]
        maps = augmenter.maps(draws, sizes)
        boxes = augmenter.boxes(maps, sizes).tolist()
        for row, index in enumerate(indices.tolist()):
            seen = self.samples.window(index, tuple(boxes[row]), self.contract)
            if seen.size == tuple(sizes[row]):
                augmenter.change(draws, maps, row, seen, images[row])
            else:  # the contract turns images otherwise than they were when they were opened
                pixels = self.samples.pixels(index, self.contract)
                augmenter.apply(draws, row, pixels, images[row])

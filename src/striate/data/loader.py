"""Batches for training and evaluation, the same whoever prepares them.

Every batch is a pure function of (seed, epoch, its number), so threads only decide when it is made:
with 0, 1 or 4 workers, from any batch on, and in any number of processes the images are the same to
the bit. Workers are threads, since decoding, resampling and normalising release the interpreter;
there is nothing to pickle, to share or to lose.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod

import numpy as np
import numpy.typing as npt
import torch

from striate.contract import Contract
from striate.data.augmentation import Augmentation
from striate.data.augmenter import Augmenter
from striate.data.batch import Batch, Order, Share, gather
from striate.data.buffers import Buffers
from striate.data.pace import Tally, stage
from striate.data.prepare import fits, normalisation, prepare
from striate.data.samples import Samples
from striate.data.sampling import Sampling
from striate.errors import UsageError
from striate.randomness import stream

Floats = npt.NDArray[np.float32]

_AHEAD = 2  # batches a worker may be ahead
_MEMORY = 1 << 30  # bytes that batches made ahead may take


class Loader:
    """Makes batches of samples.

    Args:
        samples: the images.
        contract: what they go through.
        batch: images in a batch, over all processes; `sampling` says what the last one may have.
        seed: of order and augmentation.
        augmentation: random changes, in order; none leaves the images as the contract makes them.
        shuffle: draw a new order each epoch.
        rank: of this process.
        world: how many processes share each batch.
        workers: threads that prepare batches; 0 prepares them when they are asked for.
        sampling: which images an epoch has, where it shuffles.
        memory: bytes that batches made ahead may take; there is always one.
        pin: make batches in memory that a GPU can read by itself.

    Attributes:
        tally: where the time goes.

    Raises:
        UsageError: a number that makes no sense.
        ContractError: weights of another number of classes.

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
        sampling: Sampling | None = None,
        memory: int = _MEMORY,
        pin: bool = False,
    ) -> None:
        if batch < 1 or workers < 0 or not 0 <= rank < world:
            raise UsageError(
                f"Expected batch >= 1, workers >= 0 and 0 <= rank < world, received batch={batch}, "
                f"workers={workers}, rank={rank}, world={world}."
            )
        if sampling is not None:
            sampling.check(len(contract.classes))
        self.samples, self.contract, self.seed, self.workers = samples, contract, seed, workers
        self.order = Order(samples.labels, batch, seed if shuffle else None, rank, world, sampling)
        rows = -(-batch // world)
        self.ahead = max(1, min(_AHEAD * workers, memory // (4 * rows * prod(contract.shape))))
        self.pin, self.tally = pin, Tally()
        self.augmenter = Augmenter(augmentation, contract) if augmentation else None
        self.slope, self.offset = normalisation(contract)
        self.buffers = Buffers(self.ahead + 3)
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
            UsageError: a number below 0.
            DataError: a file is gone or damaged since the data set was opened.
        """
        if epoch < 0 or start < 0:
            raise UsageError(
                f"Expected an epoch and a first batch of at least 0, received epoch={epoch}, "
                f"start={start}."
            )
        shares = self.order.epoch(epoch, start)
        if self.workers == 0 or (self.stack is not None and self.augmenter is None):
            made = (self.make(share, epoch) for share in shares)  # a gather: not worth a thread
            return self._timed(made)
        return self._timed(self._ahead(shares, epoch))

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield batches, and count how long they are waited for and used."""
        began = time.perf_counter()
        for batch in batches:
            there = time.perf_counter()
            self.tally.waited += there - began
            yield batch
            began = time.perf_counter()
            self.tally.used += began - there

    def images(self, indices: Sequence[int], epoch: int) -> Floats:
        """Return some images as an epoch shows them, in whatever batch they come.

        Args:
            indices: places in the samples.
            epoch: from 0.

        Returns:
            (indices, channels, height, width) float32.
        """
        places = np.asarray(indices, np.int64)
        share = Share(places, len(places), 0, places)
        return np.asarray(self.make(share, epoch).images.numpy())

    def _ahead(self, shares: Sequence[Share], epoch: int) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="striate-loader")
        try:
            for share in shares:
                waiting.append(pool.submit(self.make, share, epoch))
                if len(waiting) > self.ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # may be a garbage collector's doing

    def make(self, share: Share, epoch: int) -> Batch:
        """Return the batch of some images as an epoch shows them."""
        shape = (len(share.indices), *self.contract.shape)
        made = (
            torch.empty(shape, pin_memory=True)
            if self.pin
            else torch.from_numpy(self.buffers.take(shape))
        )
        with self.tally.making(len(share.indices)):
            self._fill(share, epoch, made.numpy())
        return Batch(
            made,
            torch.from_numpy(self.samples.labels[share.indices]),
            share.indices,
            share.total,
            share.offset,
        )

    def _fill(self, share: Share, epoch: int, images: Floats) -> None:
        if self.augmenter is not None:
            self._augment(self.augmenter, share, epoch, images)
        elif self.stack is not None:
            gather(self.stack, share.indices, self.slope, self.offset, images)
        else:
            for row, index in enumerate(share.indices.tolist()):
                with stage("decode"):
                    pixels = self.samples.pixels(index, self.contract)
                images[row] = prepare(pixels, self.contract)

    def _augment(self, augmenter: Augmenter, share: Share, epoch: int, images: Floats) -> None:
        indices = share.indices
        draws = augmenter.draw(stream(self.seed, "augment", epoch, share.chances))
        if self.stack is not None:
            augmenter.apply_all(draws, self.stack, indices, images)
            return
        sizes = self.samples.sizes[indices]
        maps = augmenter.maps(draws, sizes)
        boxes = augmenter.boxes(maps, sizes).tolist()
        for row, index in enumerate(indices.tolist()):
            with stage("decode"):
                seen = self.samples.window(index, tuple(boxes[row]), self.contract)
            if seen.size == tuple(sizes[row]):
                augmenter.change(draws, maps, row, seen, images[row])
            else:  # the contract turns images otherwise than they were when they were opened
                pixels = self.samples.pixels(index, self.contract)
                augmenter.apply(draws, row, pixels, images[row])

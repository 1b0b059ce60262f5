"""The very images of a training, one by one: augmented, and mixed where its objective mixes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from striate.data import Loader
from striate.data.batch import Share
from striate.train.feeding import loaders
from striate.train.objective import Mixing, Rows
from striate.train.prepare import Prepared
from striate.train.processes import Processes
from striate.train.recipe import Recipe

Floats = npt.NDArray[np.float32]

_ALONE = Processes(0, 1, torch.device("cpu"))


class Seen:
    """What the network sees of some training images in an epoch.

    Args:
        recipe: of the training.
        prepared: what it is fed with.
    """

    def __init__(self, recipe: Recipe, prepared: Prepared) -> None:
        self.recipe = recipe
        self.loaders, _ = loaders(recipe, prepared, _ALONE)

    def __call__(self, places: Sequence[int], epoch: int) -> Floats:
        """Return images by their places as an epoch shows them: (places, channels, height, width).

        One that an epoch leaves out (rare classes are repeated at the cost of others) is shown as
        it would be unmixed.
        """
        loader = self.loaders[self.recipe.size_at(min(epoch, self.recipe.epochs - 1))]
        objective = self.recipe.objective
        found = loader.images(places, epoch)
        if isinstance(objective, Mixing):
            wanted = {place: row for row, place in enumerate(places)}
            for number, share in enumerate(loader.order.epoch(epoch)):
                for at, place in enumerate(share.indices.tolist()):
                    if (row := wanted.pop(place, None)) is not None:
                        pair = _pair(share, at)
                        found[row] = self._mixed(objective, loader, pair, epoch, number)
        return found

    def _mixed(
        self, objective: Mixing, loader: Loader, pair: Share, epoch: int, number: int
    ) -> Floats:
        """Return the first of a pair of images as a micro-batch of an epoch shows it."""
        each = self.recipe.accumulate
        step, part = divmod(number, each)
        step += 1 + epoch * -(-loader.batches // each)
        batch = loader.make(pair, epoch)
        rows = Rows(batch.images, batch.labels, 0, (step, part), self.recipe.seed, _ALONE)
        mixed: Floats = objective.mix(rows).images[0].numpy()
        return mixed


def _pair(share: Share, row: int) -> Share:
    """Return a row of a micro-batch and the one that is mixed into it."""
    both = [row, len(share.indices) - 1 - row]
    return Share(share.indices[both], 2, 0, share.chances[both])

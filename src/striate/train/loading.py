"""What a training takes its batches from: the loaders of its parts, as the recipe has them."""

from __future__ import annotations

from striate.data import Loader
from striate.train.prepare import Prepared
from striate.train.processes import Processes
from striate.train.recipe import Recipe


def loaders(
    recipe: Recipe, prepared: Prepared, together: Processes
) -> tuple[dict[tuple[int, int], Loader], Loader]:
    """Return the loaders of the training part, by image size, and that of the validation part."""
    training = {
        size: Loader(
            prepared.split.train,
            prepared.contract.with_size(size),
            batch=recipe.batch // recipe.accumulate,
            seed=recipe.seed,
            augmentation=recipe.augmentation,
            shuffle=True,
            rank=together.rank,
            world=together.world,
            workers=recipe.workers,
            sampling=recipe.sampling,
            pin=together.device.type == "cuda",
        )
        for size in {recipe.size_at(epoch) for epoch in range(recipe.epochs)}
    }
    validation = Loader(
        prepared.split.validation,
        prepared.contract,
        batch=recipe.batch,
        seed=0,
        shuffle=False,
        rank=together.rank,
        world=together.world,
        workers=recipe.workers,
    )
    return training, validation

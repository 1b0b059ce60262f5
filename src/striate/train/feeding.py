"""How a training is fed: its loaders, its micro-batches, and what is to be said of both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from striate.data import Batch, FileSamples, Loader
from striate.data.pace import Pace
from striate.ops import usable_cores
from striate.train.losses import Uneven
from striate.train.prepare import Prepared
from striate.train.processes import Processes
from striate.train.recipe import Recipe

_UNEVEN = 3  # times as many training images of one class as of another are worth a word


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


def grouped(parts: Iterator[Batch], count: int) -> Iterator[list[Batch]]:
    """Yield a step's micro-batches together, `count` of them or what is left."""
    group: list[Batch] = []
    for part in parts:
        group.append(part)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group


def proposal(recipe: Recipe, loader: Loader) -> str | None:
    """Say what there is for uneven classes, where nothing is done about them."""
    counts = np.bincount(loader.samples.labels)
    least, most = int(counts.min()), int(counts.max())
    objective = recipe.objective
    weighted = isinstance(objective, Uneven) and bool(objective.weights)
    if most <= _UNEVEN * least or weighted or recipe.sampling.classes != "as_found":
        return None
    return (
        f"Note: classes have {least:,} to {most:,} training images; for rare ones to count as "
        "much: --set sampling.classes=balanced, or --set objective=weighted_cross_entropy "
        "--set objective.balanced=true."
    )


def last_batch(recipe: Recipe, loader: Loader) -> str | None:
    """Say what becomes of an epoch's last images, where they do not fill a batch."""
    batch, images = recipe.batch // recipe.accumulate, len(loader.samples)
    over = images % batch
    if not over:
        return None
    what = {
        "keep": f"the last has {batch + 1 if over == 1 and images > 1 else over}",
        "drop": f"{over} images are left out, others each epoch",
        "pad": f"the last is filled up with {batch - over} images of the same epoch",
    }[recipe.sampling.last]
    if recipe.sampling.last == "keep" and images < batch:
        what = f"the only one has {images}"
    ways = ", ".join(way for way in ("keep", "drop", "pad") if way != recipe.sampling.last)
    return (
        f"An epoch is {loader.batches:,} batch{'es' * (loader.batches > 1)} of {batch}; {what} "
        f"(sampling.last={recipe.sampling.last}; or: {ways})."
    )


def advice(pace: Pace, loader: Loader) -> str | None:
    """Say what a training waited for and what would help, where the waiting is worth a word."""
    samples = loader.samples
    return pace.advice(
        workers=loader.workers,
        cores=usable_cores(),
        total=len(samples),
        pixels=float(samples.sizes.prod(axis=1).mean()) * 3
        if isinstance(samples, FileSamples)
        else None,
    )

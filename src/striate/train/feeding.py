"""How a training is fed: its micro-batches, and what is to be said of classes and waiting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from striate.data import Batch, FileSamples, Loader
from striate.data.pace import Pace
from striate.ops import usable_cores
from striate.train.losses import Uneven
from striate.train.recipe import Recipe

_UNEVEN = 3  # times as many training images of one class as of another are worth a word


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

"""What the weights that a training begins with were prepared for, and how far that is from ours."""

from __future__ import annotations

import functools
import math

from striate import inference
from striate.contract import Contract
from striate.errors import StriateError
from striate.train import Recipe
from striate.train.recipe import Start

PREPARED_ALIKE = 0.5  # deviations of a shift, or e-folds of a scale, that training soon makes up


def start_contract(recipe: Recipe) -> Contract | None:
    """Return the contract of the weights a recipe begins with, where they can be read."""
    if recipe.start is None:
        return None
    try:
        return inference.open_model(recipe.start.path).contract()
    except StriateError:
        return None


def preparation_gap(mine: Contract, theirs: Contract) -> float:
    """Return how far two preparations of a pixel are apart, over channels the most.

    A shift counts in deviations of theirs, a scale in e-folds; other channels are infinitely far.
    """
    if mine.channels != theirs.channels:
        return math.inf
    levels = zip(*_levels(mine), *_levels(theirs), strict=True)
    return max(
        max(abs(zero - other) / spread, abs(math.log(own / spread)))
        for zero, own, other, spread in levels
    )


def _levels(contract: Contract) -> tuple[list[float], list[float]]:
    """Return the 8-bit level that becomes 0 in each channel, and how many become 1."""
    slope, offset = contract.forward
    spreads = [1 / each for each in slope]
    return [-by * wide for by, wide in zip(offset, spreads, strict=True)], spreads


def start_sizes(start: Start) -> dict[str, float]:
    """Return the norms of the weights a recipe begins with, by name; none where they are gone."""
    return {
        name: size
        for name, size in _sizes(start.path, start.identity)
        if name.rpartition(".")[0] not in start.anew
    }


@functools.lru_cache(maxsize=4)  # as a watched run asks at every validation
def _sizes(path: str, identity: str) -> tuple[tuple[str, float], ...]:
    try:
        given = inference.load(inference.open_model(path)).state_dict()
    except StriateError:
        return ()
    return tuple((name, float(value.float().norm())) for name, value in given.items())

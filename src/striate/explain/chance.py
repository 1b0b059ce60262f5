"""How near random filters come to the classical ones: what a learnt filter has to surpass.

Few numbers are near to something by chance: of nine drawn from a normal distribution the nearest of
ten classical filters has a cosine of 0.52 on average.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from striate.explain.attribution import Floats
from striate.explain.filters import Filters, fit_gabor, nearest_classical
from striate.randomness import stream
from striate.records import Record

_DRAWS = {"classical": 20_000, "gabor": 128}  # a fit takes 10 ms, a cosine nothing
_HIGH = 95  # percentile that what is named lies above


class Chance(Record, frozen=True, kw_only=True):
    """What random filters of a size reach.

    Args:
        mean: on average.
        high: the 95th percentile: 5% of random filters reach more.
        draws: how many were drawn, always the same ones.
    """

    mean: float
    high: float
    draws: int


@cache
def classical_chance(height: int, width: int) -> Chance:
    """Return the cosines of random filters with their nearest classical ones.

    The values are normal and independent; over several channels the main spatial part of such a
    filter is distributed as that of one channel, but for its length, which no cosine sees.
    """
    return _chance([near for _, near in nearest_classical(_drawn("classical", height, width))])


@cache
def gabor_chance(height: int, width: int) -> Chance:
    """Return the shares of random filters' energy that their best Gabor functions explain."""
    return _chance([fit.explained for fit in fit_gabor(_drawn("gabor", height, width))])


def named(found: Filters) -> tuple[bool, ...]:
    """Tell which filters are nearer to what is written below them than 95% of random ones are.

    That is their Gabor function where they have numbers enough to tell one by, and otherwise the
    nearest classical filter.
    """
    height, width = found.weights.shape[2:]
    if found.gabor[0].determined:
        high = gabor_chance(height, width).high
        return tuple(fit.explained > high for fit in found.gabor)
    high = classical_chance(height, width).high
    return tuple(near > high for _, near in found.nearest)


def _drawn(what: str, height: int, width: int) -> Floats:
    shape = (_DRAWS[what], height, width)
    return stream(0, what).normal("filters", size=shape).astype(np.float32)


def _chance(reached: list[float]) -> Chance:
    return Chance(
        mean=float(np.mean(reached)),
        high=float(np.percentile(reached, _HIGH)),
        draws=len(reached),
    )

"""Times that can be compared: calls taken in turn, so that a busy machine slows all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping

from striate.ops.images import floats

Run = Callable[[], object]

_ROUND = 0.004  # seconds that a call's turn lasts at least, up to _MOST calls
_MOST = 3
_EARLY = 2  # rounds after which a call that is far behind is not asked again
_FAR = 1.4
_DOUBT = 0.05
_CACHES = 48 << 20  # bytes; more than a few cores' caches hold


class Times:
    """Seconds of one call, by round."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds = seconds

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def __add__(self, other: Times) -> Times:
        return Times(self.seconds + other.seconds)

    def lead(self, over: Times) -> float:
        """Return how many times faster than another it is at least, with a confidence of 95%.

        The lower bound of the median of the rounds' ratios (sign test): a machine with other work
        spreads the ratios, more rounds bring the bound nearer to their median.
        """
        ratios = sorted(
            theirs / own for own, theirs in zip(self.seconds, over.seconds, strict=False)
        )
        return ratios[_surely(len(ratios))]


def _surely(count: int) -> int:
    """Return the rank from 0 of the largest value that the median of so many exceeds, at 95%."""
    chance, rank = 0.5**count, 0
    while chance + math.comb(count, rank + 1) * 0.5**count <= _DOUBT:
        rank += 1
        chance += math.comb(count, rank) * 0.5**count
    return rank


class Traffic:
    """What the rest of a network moves through the caches between two calls of a layer.

    Args:
        size: bytes; no more are moved than the caches hold.
    """

    def __init__(self, size: int) -> None:
        self._memory = floats(min(size, _CACHES) // 4).fill_(1)

    def __call__(self) -> None:
        """Read as much memory, with every thread."""
        self._memory.sum()


def race(
    runs: Mapping[str, Run],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    seconds: float = 6.0,
    kept: tuple[str, ...] = (),
    between: Callable[[], None] | None = None,
) -> dict[str, Times]:
    """Time calls in turn, after one of each to warm up.

    A turn is the quickest of up to three calls: what else the machine does makes calls longer,
    never shorter, so that the least of a few is steadier than one.

    Args:
        runs: by name.
        rounds: how often each is called; one that is far behind after two is left alone.
        clock: gives seconds.
        seconds: after which no new round begins, but three are taken in any case.
        kept: never left out: what the others are compared with.
        between: done before every call, and not timed.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    racing, start = dict(runs), clock()
    for number in range(rounds):
        if number > _EARLY and clock() - start > seconds:
            break
        if number == _EARLY:
            best = min(statistics.median(seconds) for seconds in taken.values())
            racing = {
                name: run
                for name, run in runs.items()
                if name in kept or statistics.median(taken[name]) < _FAR * best
            }
        for name, run in racing.items():
            taken[name].append(_turn(run, clock, between))
    return {name: Times(seconds) for name, seconds in taken.items()}


def _turn(run: Run, clock: Callable[[], float], between: Callable[[], None] | None) -> float:
    """Return the least time of a few calls, of one where it is long."""
    least, spent = math.inf, 0.0
    for _ in range(_MOST):
        if between is not None:
            between()
        now = clock()
        run()
        taken = clock() - now
        least, spent = min(least, taken), spent + taken
        if spent > _ROUND:
            break
    return least

"""Times that can be compared: calls taken in turn, so that a busy machine slows all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping

Run = Callable[[], object]

_ROUND = 0.004  # seconds that a call's turn lasts at least, up to _MOST calls
_MOST = 3
_EARLY = 2  # rounds after which a call that is far behind is not asked again
_FAR = 1.4


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
        """Return how many times faster than another it is, in three rounds of four at least."""
        ratios = [theirs / own for own, theirs in zip(self.seconds, over.seconds, strict=False)]
        return statistics.quantiles(ratios, n=4)[0] if len(ratios) > 1 else ratios[0]


def race(
    runs: Mapping[str, Run],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    seconds: float = 6.0,
) -> dict[str, Times]:
    """Time calls in turn, after one of each to warm up.

    A turn is the quickest of up to three calls: what else the machine does makes calls longer,
    never shorter, so that the least of a few is steadier than one.

    Args:
        runs: by name; the first two, what the others are compared with, are never left out.
        rounds: how often each is called; one that is far behind after two is left alone.
        clock: gives seconds.
        seconds: after which no new round begins, but three are taken in any case.
    """
    kept = tuple(runs)[:2]
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
            taken[name].append(_turn(run, clock))
    return {name: Times(seconds) for name, seconds in taken.items()}


def _turn(run: Run, clock: Callable[[], float]) -> float:
    """Return the least time of a few calls, of one where it is long."""
    least, begun = math.inf, clock()
    for _ in range(_MOST):
        now = clock()
        run()
        after = clock()
        least = min(least, after - now)
        if after - begun > _ROUND:
            break
    return least

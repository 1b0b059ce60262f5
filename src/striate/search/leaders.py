"""Which of the best are best: seed noise measured, and an answer that may be "one cannot tell".

The runs by which leaders were chosen are no evidence, since the luckiest were chosen; only runs
with further seeds count. Their spread within each setting, pooled, is the noise. Then, by Gupta's
rule, every leader whose mean lies within d s sqrt(2 / k) of the greatest stays in a group that
holds the truly best with 95% probability: d is the one-sided bound for the greatest of so many
differences that share one estimate of the noise, found by simulation.

Source: Gupta, "On some multiple decision (selection and ranking) rules", Technometrics 7, 1965; the
bound is Dunnett's, JASA 50, 1955, one-sided.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np

from striate.randomness import stream

LEVEL: Final = 0.95
TEST: Final = "Gupta's subset selection at 95%, noise pooled over the leaders' seeds"
_DRAWS = 40_000


class Leader(NamedTuple):
    """A setting and what further seeds gave.

    Args:
        scores: of each seed.
        mean: of them.
        interval: of the mean, 95% for all leaders together; None without two seeds anywhere.
        tied: whether it is in the group that holds the best.
    """

    scores: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    tied: bool


def compare(scores: Sequence[Sequence[float]]) -> tuple[list[Leader], float | None]:
    """Compare leaders by the scores of their seeds; greater is better.

    Args:
        scores: of each leader, one or more.

    Returns:
        The leaders in the same order, and the pooled standard deviation (None where no leader has
        two seeds; then all are in the group).

    Example:
        >>> leaders, noise = compare([[0.9, 0.91, 0.92], [0.5, 0.51, 0.52]])
        >>> [each.tied for each in leaders], round(noise, 3)
        ([True, False], 0.01)
    """
    rows = [np.asarray(each, np.float64) for each in scores]
    means = np.array([row.mean() for row in rows])
    counts = np.array([len(row) for row in rows])
    free = int((counts - 1).sum())
    if free == 0:
        plain = [(tuple(row.tolist()), float(m)) for row, m in zip(rows, means, strict=True)]
        return [Leader(each, mean, None, True) for each, mean in plain], None
    noise = float(np.sqrt(sum(((row - row.mean()) ** 2).sum() for row in rows) / free))
    above, around = _bounds(len(rows), free)
    top = int(means.argmax())
    gaps = noise * np.sqrt(1 / counts + 1 / counts[top])
    reach = around * noise / np.sqrt(counts)
    return [
        Leader(
            tuple(row.tolist()),
            float(mean),
            (float(mean - half), float(mean + half)),
            bool(means[top] - mean <= above * gap + 1e-12),
        )
        for row, mean, half, gap in zip(rows, means, reach, gaps, strict=True)
    ], noise


@cache
def _bounds(count: int, free: int) -> tuple[float, float]:
    """Return the bounds for the greatest difference, one-sided, and for all means, two-sided."""
    chance = stream(0, "leaders", count, free)
    normal = chance.normal("means", size=(_DRAWS, count))
    spread = np.sqrt((chance.normal("noise", size=(_DRAWS, free)) ** 2).mean(axis=1))
    around = np.abs(normal).max(axis=1) / spread
    if count == 1:
        return 0.0, float(np.quantile(around, LEVEL))
    gaps = (normal[:, 1:] - normal[:, :1]).max(axis=1) / np.sqrt(2) / spread
    return float(np.quantile(gaps, LEVEL)), float(np.quantile(around, LEVEL))

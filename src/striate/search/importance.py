"""Which parameters mattered: the share of the scores' variance that each explains alone.

That is the first-order Sobol index, Var(E[score | x]) / Var(score), estimated by the correlation
ratio over bins of equal counts, less what so many bins explain of pure noise (Kelley's epsilon
squared). Scores are taken by rank, so that a run that blew up is only the worst. What chance gives
is measured beside it by permuting the scores.

Source: Sobol', "Sensitivity estimates for nonlinear mathematical models", 1993; Hutter, Hoos and
Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML 2014, whose main
effects these are, without the forest; Kelley, PNAS 21, 1935.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from striate.randomness import stream
from striate.records import Record
from striate.search.space import Options, Space, Value

_FEWEST = 8  # runs, below which nothing can be said
_PERMUTATIONS = 500
_CHANCE = 0.05

Floats = npt.NDArray[np.float64]


class Importance(Record, frozen=True, kw_only=True):
    """How much one parameter mattered.

    Args:
        key: which.
        share: of the variance of the scores' ranks that it explains alone, 0 to 1.
        p: how often permuted scores gave as much.
        clear: whether that is rarer than once in twenty.
    """

    key: str
    share: float
    p: float
    clear: bool


def importance(
    space: Space, rows: Sequence[tuple[dict[str, Value], float]], seed: int = 0
) -> tuple[Importance, ...]:
    """Return each parameter's importance, the greatest first; nothing for fewer than 8 runs.

    Args:
        space: what was searched.
        rows: settings and score of runs that compare: equally long.
        seed: of the permutations.
    """
    if len(rows) < _FEWEST:
        return ()
    scores = np.array([score for _, score in rows], np.float64)
    ranks = _ranks(scores)
    chance = stream(seed, "importance")
    shuffled = np.stack(
        [ranks[chance.permutation(f"{k}", len(ranks))] for k in range(_PERMUTATIONS)]
    )
    found = []
    for parameter in space.parameters:
        places = np.array([parameter.place(values[parameter.key]) for values, _ in rows])
        bins = _bins(places, isinstance(parameter, Options))
        if bins.max() == 0:
            continue
        share = float(_explained(bins, ranks[None])[0])
        p = float((1 + (_explained(bins, shuffled) >= share).sum()) / (1 + _PERMUTATIONS))
        found.append(Importance(key=parameter.key, share=max(share, 0.0), p=p, clear=p < _CHANCE))
    return tuple(sorted(found, key=lambda each: -each.share))


def _ranks(scores: Floats) -> Floats:
    """Return ranks, equals sharing their mean."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts).astype(np.float64)
    return np.asarray((last - (counts - 1) / 2)[inverse])


def _bins(places: Floats, options: bool) -> npt.NDArray[np.int64]:
    """Return each run's bin: an option, or a fourth to a sixth of the runs in order of place."""
    distinct, inverse = np.unique(places, return_inverse=True)
    count = min(6, max(2, len(places) // 4))
    if options or len(distinct) <= count:
        return np.asarray(inverse, np.int64)
    return np.asarray((_ranks(places) - 1) * count // len(places), np.int64).clip(0, count - 1)


def _explained(bins: npt.NDArray[np.int64], ranks: Floats) -> Floats:
    """Return epsilon squared for each row of scores: (rows, runs) -> (rows,)."""
    runs, kinds = ranks.shape[1], np.unique(bins)
    whole = ((ranks - ranks.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    inside = np.zeros(len(ranks))
    for each in kinds:
        part = ranks[:, bins == each]
        inside += ((part - part.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    free = runs - len(kinds)
    if free < 1:
        return np.zeros(len(ranks))
    noise = (len(kinds) - 1) * inside / free
    return np.asarray(np.where(whole > 0, (whole - inside - noise) / np.maximum(whole, 1e-12), 0))

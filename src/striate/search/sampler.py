"""Where the next settings come from: at random, by a tree of Parzen estimators, or on a grid.

A draw at random is a pure function of the search's seed and the run's key, so two processes never
draw the same, and a search that was killed goes on with the draws it would have made.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from striate.randomness import stream
from striate.search.ledger import engine
from striate.search.slot import Entry
from striate.search.space import Numbers, Space, Value

Sampler = Literal["random", "tpe"]

_ROUNDING = 1e-3  # values are kept to six digits
_FIRST = 8  # runs that TPE draws at random before it has an opinion


def draw(
    space: Space, sampler: Sampler, seed: int, key: str, entries: Sequence[Entry]
) -> dict[str, Value]:
    """Draw settings.

    Args:
        space: to draw from.
        sampler: how.
        seed: of the search.
        key: of the run; its address.
        entries: runs so far, for TPE.
    """
    if sampler == "random":
        chance = stream(seed, "search", key)
        return space.at({each: float(chance.uniform(each)) for each in space.keys})
    return _estimated(space, stream(seed, "search", key).seed("tpe") % 2**32, entries)


def grid(space: Space, points: int) -> list[dict[str, Value]]:
    """Return all combinations of so many values a range, and every option."""
    columns: list[list[Value]] = []
    for each in space.parameters:
        if isinstance(each, Numbers):
            places = np.linspace(0, 1, points) if points > 1 else np.array([0.5])
            columns.append(list(dict.fromkeys(each.at(float(place)) for place in places)))
        else:
            columns.append(list(each.options))
    return [dict(zip(space.keys, row, strict=True)) for row in itertools.product(*columns)]


def _estimated(space: Space, seed: int, entries: Sequence[Entry]) -> dict[str, Value]:
    """Ask Optuna's TPE, in places of the space as it is now.

    So a range that has been extended costs it nothing: told in values, it would start anew at
    random. Runs of all lengths count; what lies outside is left out.

    Source: Bergstra, Bardenet, Bengio and Kegl, "Algorithms for hyper-parameter optimization",
    NeurIPS 2011.
    """
    optuna = engine()
    kinds = optuna.distributions
    axes: dict[str, Any] = {
        each.key: kinds.FloatDistribution(0.0, 1.0)
        if isinstance(each, Numbers)
        else kinds.CategoricalDistribution(each.options)
        for each in space.parameters
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the experimental options of other versions
        asked = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_FIRST)
        study = optuna.create_study(direction="maximize", sampler=asked)
        for each in entries:
            told = _told(space, each)
            if told is not None and each.score is not None and math.isfinite(each.score):
                study.add_trial(
                    optuna.trial.create_trial(params=told, distributions=axes, value=each.score)
                )
        found = study.ask(axes).params
    return {
        each.key: each.at(found[each.key]) if isinstance(each, Numbers) else found[each.key]
        for each in space.parameters
    }


def _told(space: Space, entry: Entry) -> dict[str, Any] | None:
    """Return a run's settings as places; None where one lies outside."""
    told: dict[str, Any] = {}
    for each in space.parameters:
        value = entry.values[each.key]
        if isinstance(each, Numbers):
            place = each.place(value)
            if not -_ROUNDING <= place <= 1 + _ROUNDING:
                return None
            told[each.key] = min(max(place, 0.0), 1.0)
        elif value in each.options:
            told[each.key] = value
        else:
            return None
    return told

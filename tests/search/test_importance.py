"""Importance: what matters is found, what does not is not, against a forest's permutation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from striate.search.importance import importance
from striate.search.space import Space, Value, read

SPACE = Space(parameters=(read("rate=1e-5..1"), read("decay=1e-5..1"), read("o=a,b,c")))


def _rows(count: int, seed: int = 0) -> list[tuple[dict[str, Value], float]]:
    chance = np.random.default_rng(seed)
    rows: list[tuple[dict[str, Value], float]] = []
    for _ in range(count):
        rate, decay = (float(10 ** chance.uniform(-5, 0)) for _ in range(2))
        option = "abc"[chance.integers(3)]
        score = -((math.log10(rate) + 2.5) ** 2) - 2.0 * (option == "b") + chance.normal(0, 0.2)
        rows.append(({"rate": rate, "decay": decay, "o": option}, score))
    return rows


def test_what_matters_comes_first_and_is_told_from_chance() -> None:
    found = {each.key: each for each in importance(SPACE, _rows(60))}
    assert list(found) == ["rate", "o", "decay"]
    assert found["rate"].clear and found["rate"].share > 0.5
    assert not found["decay"].clear and found["decay"].share < 0.1


def test_the_order_is_that_of_a_random_forest() -> None:
    rows = _rows(200, seed=1)
    places = np.array([[p.place(values[p.key]) for p in SPACE.parameters] for values, _ in rows])
    scores = np.array([score for _, score in rows])
    forest = RandomForestRegressor(50, random_state=0).fit(places, scores)
    theirs = permutation_importance(forest, places, scores, random_state=0).importances_mean
    order = [SPACE.keys[index] for index in np.argsort(-theirs)]
    assert [each.key for each in importance(SPACE, rows)] == order


def test_noise_alone_is_rarely_called_clear() -> None:
    clear = 0
    for seed in range(40):
        chance = np.random.default_rng(seed)
        rows = [(values, float(chance.normal())) for values, _ in _rows(20, seed)]
        clear += sum(each.clear for each in importance(SPACE, rows))
    assert clear <= 14  # of 120, where one in twenty is expected


def test_few_runs_say_nothing_and_equal_scores_no_more() -> None:
    assert importance(SPACE, _rows(7)) == ()
    flat = [(values, 1.0) for values, _ in _rows(12)]
    assert all(each.share == 0 and each.p == pytest.approx(1) for each in importance(SPACE, flat))

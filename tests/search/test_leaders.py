"""The comparison of leaders: its bounds against scipy's, its promise against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from striate.search.leaders import _bounds, compare


@pytest.mark.parametrize("free", [2, 4, 12])
def test_with_two_leaders_the_bounds_are_students(free: int) -> None:
    above, _ = _bounds(2, free)
    assert above == pytest.approx(stats.t.ppf(0.95, free), rel=0.03)
    _, around = _bounds(1, free)
    assert around == pytest.approx(stats.t.ppf(0.975, free), rel=0.03)


def test_the_group_holds_the_best_nineteen_times_in_twenty() -> None:
    chance = np.random.default_rng(0)
    means = np.array([0.90, 0.895, 0.89, 0.88])
    held = width = 0
    for _ in range(1000):
        scores = means[:, None] + 0.01 * chance.standard_normal((4, 3))
        leaders, _ = compare(scores.tolist())
        held += leaders[0].tied
        width += all(
            low <= mean <= high
            for mean, (low, high) in zip(
                means, (each.interval or (0.0, 0.0) for each in leaders), strict=True
            )
        )
    assert 0.94 <= held / 1000
    assert 0.93 <= width / 1000 <= 0.97


def test_equal_leaders_cannot_be_told_apart_and_far_ones_can() -> None:
    near = [[0.90 + 0.001 * k, 0.91, 0.92 - 0.001 * k] for k in range(7)]
    assert all(each.tied for each in compare(near)[0])
    far, noise = compare([[0.9, 0.91], [0.5, 0.51]])
    assert [each.tied for each in far] == [True, False]
    assert noise == pytest.approx(0.0070711, rel=1e-3)


def test_without_a_second_seed_nothing_is_claimed() -> None:
    leaders, noise = compare([[0.9], [0.5]])
    assert noise is None
    assert all(each.tied and each.interval is None for each in leaders)


def test_without_any_noise_the_greater_mean_is_better() -> None:
    assert [each.tied for each in compare([[0.9, 0.9], [0.8, 0.8]])[0]] == [True, False]

"""Streams: the address alone decides, and the numbers are as random as they should be."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from striate.randomness import Stream, stream

PARTS = st.lists(st.integers(-(2**70), 2**70) | st.text(max_size=8), min_size=1, max_size=4)
INDICES = st.lists(st.integers(0, 2**31), min_size=1, max_size=20, unique=True)


@given(PARTS, INDICES, st.data())
def test_a_draw_depends_on_its_address_alone(
    address: list[int | str], indices: list[int], data: st.DataObject
) -> None:
    batch = stream(*address, np.array(indices))
    one = data.draw(st.integers(0, len(indices) - 1))
    alone = stream(*address, indices[one])
    for draw in ("uniform", "normal", "bits"):
        many, single = getattr(batch, draw)("x", size=(3,)), getattr(alone, draw)("x", size=(3,))
        assert many.shape == (len(indices), 3)
        assert (many[one] == single).all()


@given(PARTS, PARTS)
def test_other_addresses_give_other_numbers(one: list[int | str], other: list[int | str]) -> None:
    same = stream(*one).seed("x") == stream(*other).seed("x")
    words = [
        [part % 2**64 if isinstance(part, int) else part for part in each] for each in (one, other)
    ]
    assert same == (words[0] == words[1])


def test_an_address_is_not_a_concatenation() -> None:
    seeds = {
        stream(*address).seed("x")
        for address in [(1, 2), (2, 1), (12,), (1, 2, 0), (0, 1, 2), ("12",), ("1", "2"), ()]
    }
    assert len(seeds) == 8


def test_folding_in_steps_is_folding_at_once() -> None:
    assert stream(1, "a", 2).seed("x") == stream(1).fold("a").fold(2).seed("x")


def test_the_arithmetic_is_splitmix64() -> None:
    """The same in whole numbers of Python, one draw at a time."""

    def mix(key: int) -> int:
        key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        key = (key ^ key >> 27) * 0x94D049BB133111EB % 2**64
        return key ^ key >> 31

    golden, key = 0x9E3779B97F4A7C15, 0
    for part in (7, "augment", 3, 10, "angle"):
        if isinstance(part, str):
            part = int.from_bytes(hashlib.blake2b(part.encode(), digest_size=8).digest(), "little")
        key = mix(mix((key + golden) % 2**64) ^ part)
    expected = [mix((key + golden * count) % 2**64) for count in (1, 2, 3)]
    assert stream(7, "augment", 3, np.array([10])).bits("angle", (3,)).tolist() == [expected]


def test_numbers_are_what_they_were() -> None:
    """Runs are replayed by later versions: a change here breaks every one of them."""
    assert stream(0, "layer1.0.conv1.weight").permutation("order", 6).tolist() == [0, 5, 4, 2, 1, 3]
    assert stream(-1, 2**63).seed("torch") == 1394750353393948780
    assert stream(7).uniform("x", size=(2,)).tolist() == [0.021229380512782003, 0.7639682162710966]


def test_numbers_are_the_same_in_another_process() -> None:
    code = "from striate.randomness import stream; print(stream(3, 'x').seed('y'))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == stream(3, "x").seed("y")


@pytest.mark.parametrize("seed", range(3))
def test_uniforms_are_uniform(seed: int) -> None:
    keys = stream(seed, np.arange(20_000))  # one draw of many samples, consecutive indices
    one = keys.uniform("x")
    assert stats.kstest(one, "uniform").pvalue > 1e-4
    assert one.min() >= 0 and one.max() < 1
    many = stream(seed).uniform("x", size=(20_000,))  # many draws of one sample
    assert stats.kstest(many, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(one, keys.uniform("y"))[0, 1]) < 0.03
    assert abs(np.corrcoef(one, stream(seed + 1, np.arange(20_000)).uniform("x"))[0, 1]) < 0.03


def test_every_bit_is_even() -> None:
    words = stream(1, np.arange(20_000)).bits("x")
    ones = np.unpackbits(words.view(np.uint8)).reshape(20_000, 64).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 0.02


def test_normals_are_normal() -> None:
    drawn = stream(1).normal("x", mean=2.0, std=3.0, size=(50_000,))
    assert stats.kstest((drawn - 2) / 3, "norm").pvalue > 1e-4
    assert np.isfinite(drawn).all()


@given(st.integers(-1000, 1000), st.integers(0, 50))
def test_integers_reach_both_ends(low: int, span: int) -> None:
    drawn = stream(low, span).integers("x", low, low + span, size=(60 * (span + 1),))
    assert drawn.dtype == np.int64
    assert drawn.min() >= low and drawn.max() <= low + span
    assert len(np.unique(drawn)) > 0.9 * (span + 1)


@given(st.integers(0, 200), st.integers())
def test_a_permutation_is_one(length: int, seed: int) -> None:
    order = stream(seed).permutation("epoch", length)
    assert sorted(order.tolist()) == list(range(length))


def test_permutations_are_fair() -> None:
    firsts = [int(stream(seed).permutation("epoch", 6)[0]) for seed in range(3000)]
    assert stats.chisquare(np.bincount(firsts, minlength=6)).pvalue > 1e-4


def test_a_permutation_needs_a_single_key() -> None:
    with pytest.raises(ValueError, match="reshape"):
        stream(np.arange(3)).permutation("x", 4)


def test_arithmetic_wraps_without_a_warning() -> None:
    """Warnings are errors in these tests: a scalar key once warned of the overflow it lives on."""
    with np.errstate(over="raise"):
        assert isinstance(stream(2**63 - 1, "x", -(2**63)), Stream)
        stream(5).bits("x", size=())

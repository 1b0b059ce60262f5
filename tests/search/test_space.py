"""Ranges and options: how they are written, where values lie, what lies beyond."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.search.space import Numbers, Options, Space, read


def test_a_wide_range_is_searched_in_log_space_and_a_narrow_one_is_not() -> None:
    assert read("rate=1e-4..1e-1") == Numbers(key="rate", low=1e-4, high=0.1, log=True)
    assert read("p=0.1..0.9") == Numbers(key="p", low=0.1, high=0.9)
    assert not read("rate=1e-4..1:linear").log
    assert read("rate=1..2:log").log
    assert read("rate=1e-4..1:fixed") == Numbers(key="rate", low=1e-4, high=1, log=True, fixed=True)


def test_integers_are_told_by_how_they_are_written_or_by_their_key() -> None:
    assert read("depth=1..3").whole
    assert not read("depth=1.0..3.0").whole
    assert not read("augment=0..2", whole=False).whole
    with pytest.raises(UsageError, match=r"batch takes integers, received 1\.5\.\.3"):
        read("batch=1.5..3", whole=True)


def test_options_are_split_at_commas_outside_of_brackets() -> None:
    assert read("net=convnet(widths=(8,16),depths=(1,1)), lenet") == Options(
        key="net", options=("convnet(widths=(8,16),depths=(1,1))", "lenet")
    )


@pytest.mark.parametrize("text", ["rate", "rate=", "=1..2", "rate=1..b", "rate=1..2:lg", "a=,"])
def test_what_is_neither_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match="--space"):
        read(text)


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(UsageError, match="ends above its start"):
        read("rate=1..0.1")
    with pytest.raises(UsageError, match="above 0 in log space"):
        read("rate=0..1:log")
    with pytest.raises(ValueError, match="each key once"):
        Space(parameters=(read("a=1..2"), read("a=1..3")))


@given(
    low=st.floats(1e-6, 1.0),
    factor=st.floats(1.1, 1e6),
    place=st.floats(0, 1),
    log=st.booleans(),
)
def test_place_and_value_are_each_others_inverse(
    low: float, factor: float, place: float, log: bool
) -> None:
    numbers = Numbers(key="x", low=low, high=low * factor, log=log)
    value = numbers.at(place)
    assert low * (1 - 1e-5) <= float(value) <= low * factor * (1 + 1e-5)
    assert numbers.place(value) == pytest.approx(place, abs=1e-3)


def test_log_places_count_factors() -> None:
    numbers = read("rate=1e-4..1")
    assert numbers.at(0.5) == pytest.approx(1e-2)
    assert numbers.place(1e-3) == pytest.approx(0.25)


def test_each_integer_has_an_equal_share() -> None:
    numbers = read("depth=1..4")
    drawn = [numbers.at((k + 0.5) / 1000) for k in range(1000)]
    assert [drawn.count(value) for value in (1, 2, 3, 4)] == [250] * 4


def test_edges_are_a_tenth_of_the_range_or_what_nothing_was_tried_beyond() -> None:
    space = Space(parameters=(read("rate=1e-4..1"), read("depth=1..4"), read("o=a,b")))
    at = {"rate": 0.7, "depth": 2, "o": "a"}
    assert [edge[:2] for edge in space.edges(at)] == [("rate", "high")]
    assert not space.edges({"rate": 0.1, "depth": 3, "o": "a"})
    assert [e[:2] for e in space.edges({"rate": 0.1, "depth": 4, "o": "a"})] == [("depth", "high")]
    tried = [{"rate": r, "depth": 2, "o": "a"} for r in (1e-3, 1e-2, 0.1)]
    assert [edge[:2] for edge in space.edges(tried[2], tried)] == [("rate", "high")]
    assert not space.edges(tried[1], tried)


def test_beyond_is_on_the_ranges_own_scale() -> None:
    numbers = read("rate=1e-4..1e-2")
    assert numbers.beyond("high", 0.5).high == pytest.approx(0.1)
    assert numbers.beyond("low", 1.0).low == pytest.approx(1e-6)
    assert numbers.joined(numbers.beyond("high", 0.5)).low == 1e-4
    assert read("depth=1..2").beyond("high", 0.1).high == 3


def test_about_is_what_the_leaders_span_and_a_margin() -> None:
    space = Space(parameters=(read("rate=1e-4..1"), read("o=a,b,c")))
    about = space.about([{"rate": 1e-2, "o": "b"}, {"rate": 1e-3, "o": "b"}])
    rate, option = about.parameters
    assert isinstance(rate, Numbers) and isinstance(option, Options)
    assert math.log10(rate.low) == pytest.approx(-3.4, abs=1e-3)
    assert math.log10(rate.high) == pytest.approx(-1.6, abs=1e-3)
    assert option.options == ("b",)

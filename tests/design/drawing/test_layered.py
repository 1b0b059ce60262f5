"""Places in ranks, by hand: what stands below what, how far apart, and where edges pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.design.drawing.layered import Placed, place, spread

GAP = 10.0
WIDE = 50.0


def placed(edges: str, *last: str) -> Placed:
    """Place the nodes of edges such as `a-b b-c`, 50 wide, 10 apart."""
    pairs = [(each[0], each[2]) for each in edges.split()]
    names = sorted({name for pair in pairs for name in pair})
    return place(dict.fromkeys(names, WIDE), pairs, GAP, last)


def test_a_chain_stands_in_a_line() -> None:
    found = placed("a-b b-c c-d")
    assert found.rank == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert len(set(found.middle.values())) == 1
    assert found.crossings == (1, 1, 1, 0)
    assert set(found.lanes.values()) == {()}


def test_three_branches_stand_side_by_side_below_where_they_part() -> None:
    found = placed("a-b a-c a-d b-e c-e d-e")
    left, middle, right = (found.middle[name] for name in "bcd")
    assert (middle - left, right - middle) == (WIDE + GAP, WIDE + GAP)
    assert found.middle["a"] == found.middle["e"] == pytest.approx(middle)
    assert found.crossings == (3, 3, 0)


def test_the_first_of_two_branches_goes_straight_on() -> None:
    found = placed("a-b a-c b-d c-d")
    assert found.middle["b"] == pytest.approx(found.middle["a"], abs=0.1)
    assert found.middle["d"] == pytest.approx(found.middle["a"], abs=0.1)
    assert found.middle["c"] - found.middle["b"] == pytest.approx(WIDE + GAP)


def test_a_shortcut_has_a_straight_lane_beside_what_it_goes_around() -> None:
    found = placed("a-b b-c c-d d-e a-e")
    lane = found.lanes["a", "e"]
    assert len(lane) == 3 and len(set(lane)) == 1
    assert found.crossings == (2, 2, 2, 2, 0)
    beside = abs(lane[0] - found.middle["c"])
    assert beside == pytest.approx((WIDE + 12) / 2 + GAP)  # a lane is 12 wide
    assert len({round(found.middle[name], 1) for name in "abcde"}) == 1


def test_edges_of_one_source_share_their_lane() -> None:
    found = placed("a-b b-c c-d d-e a-c a-d a-e")
    ways = [found.lanes["a", end] for end in "cde"]
    assert [len(way) for way in ways] == [1, 2, 3]
    assert len({x for way in ways for x in way}) == 1


def test_edges_do_not_cross_where_they_need_not() -> None:
    """Whatever the order in which the lower ones were written."""
    for edges in ("a-e b-d", "a-f b-e c-d", "a-d b-c a-e"):
        found = placed(edges)
        pairs = [tuple(each.split("-")) for each in edges.split()]
        for upper, lower in pairs:
            for other, below in pairs:
                sides = (found.middle[upper] - found.middle[other]) * (
                    found.middle[lower] - found.middle[below]
                )
                assert sides >= 0, (edges, upper, other)


def test_what_stands_last_stands_below_everything() -> None:
    found = placed("a-b b-c a-z", "z")
    assert found.rank == {"a": 0, "b": 1, "c": 2, "z": 3}
    assert len(found.lanes["a", "z"]) == 2


def test_a_lane_outside_of_everything_is_straight_on_either_side() -> None:
    """Wide and narrow ranks would bend it; it keeps the outermost place."""
    for lane_first in (False, True):
        edges = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")]
        if lane_first:
            edges = [edges[-1], *edges[:-1]]
        found = place({"a": 20, "b": 20, "c": 200, "d": 20}, edges, GAP)
        lane = found.lanes["a", "d"]
        assert lane[0] == lane[1]
        assert abs(lane[1] - found.middle["c"]) >= (200 + 12) / 2 + GAP - 0.1


def test_spread_is_the_nearest_in_squares() -> None:
    assert spread([0, 0], [1, 3], [4]) == [-3.0, 1.0]  # the heavier one moves less
    assert spread([5, 0, 1], [1, 1, 1], [1, 1]) == [1.0, 2.0, 3.0]
    assert spread([0, 10, 10], [1, 1, 1], [2, 2]) == [0.0, 9.0, 11.0]


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 5)), min_size=2, max_size=5),
    st.integers(0, 9),
    st.sampled_from([-0.5, 0.5]),
)
def test_no_other_place_is_nearer(wanted: list[tuple[int, int]], index: int, step: float) -> None:
    """Moving any group of neighbours a little, gaps kept, makes the weighted squares no smaller."""
    wants, weights = [float(w) for w, _ in wanted], [float(w) for _, w in wanted]
    apart = [7.0] * (len(wanted) - 1)
    found = spread(wants, weights, apart)

    def cost(places: list[float]) -> float:
        return sum(w * (p - q) ** 2 for w, p, q in zip(weights, places, wants, strict=True))

    for first in range(len(found)):
        for end in range(first + 1, len(found) + 1):
            moved = [p + step * (first <= i < end) for i, p in enumerate(found)]
            if all(b - a >= 7.0 - 1e-9 for a, b in zip(moved, moved[1:], strict=False)):
                assert cost(moved) >= cost(found) - 1e-6

"""Work cut into pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from striate.ops.threads import cut


@given(st.integers(0, 200), st.integers(1, 12), st.integers(1, 9))
def test_pieces_are_whole_grains_and_as_equal_as_they_can_be(
    count: int, pieces: int, grain: int
) -> None:
    found = cut(count, pieces, grain)
    assert [each for first, last in found for each in range(first, last)] == list(range(count))
    assert len(found) == min(pieces, -(-count // grain))
    assert all(first % grain == 0 for first, _ in found)
    grains = [-(-(last - first) // grain) for first, last in found]
    assert max(grains, default=0) - min(grains, default=0) <= 1

"""Transposition in registers, against torch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.ops.native import available
from striate.ops.turning import turn

pytestmark = pytest.mark.skipif(not available(), reason="no kernels on this system")


@settings(max_examples=40, deadline=None)
@given(
    taps=st.tuples(st.integers(1, 5), st.integers(1, 3)),
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
)
def test_every_matrix_is_transposed_and_nothing_else_is_written(
    taps: tuple[int, int], rows: int, columns: int
) -> None:
    source = torch.randn(rows, *taps, columns).permute(1, 2, 0, 3)
    room = torch.full((*taps, columns, rows + 3), 7.0)
    turn(source, room[..., :rows])
    assert torch.equal(room[..., :rows], source.transpose(2, 3))
    assert bool((room[..., rows:] == 7).all())

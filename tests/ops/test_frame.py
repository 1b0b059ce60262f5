"""Images with zeros around them, in any order: torch's own padding is the oracle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from striate.ops.assembly import Function
from striate.ops.frame import frame_kernel, framed
from striate.ops.problem import Problem

ORDERS = ["planes", "channels last", "transposed", "every second pixel"]


@given(
    channels=st.integers(1, 5),
    size=st.tuples(st.integers(1, 9), st.integers(1, 70)),
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    order=st.sampled_from(ORDERS),
)
def test_any_order_and_size(
    channels: int, size: tuple[int, int], padding: tuple[int, int, int, int], order: str
) -> None:
    above, below, left, right = padding
    high, wide = size
    x = torch.randn(2, channels, high, wide)
    if order == "channels last":
        x = x.contiguous(memory_format=torch.channels_last)
    elif order == "transposed":
        x = x.transpose(2, 3).contiguous().transpose(2, 3)
    elif order == "every second pixel":
        x = x.repeat_interleave(2, 3)[..., ::2]
    task = Problem(
        batch=2,
        channels=channels,
        features=8,
        size=size,
        kernel=(1, 1),
        stride=(1, 1),
        padding=((above, below), (left, right)),
        dilation=(1, 1),
    )
    assert torch.equal(framed(x, task), functional.pad(x, (left, right, above, below)))


@pytest.mark.parametrize("several", [2, 3, 4])
@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_lanes_side_by_side(several: int, lanes: int) -> None:
    from striate.ops.native import compile_functions

    code = Function("mix", "x out room", lanes, pieces="first last")
    with code.loop(code.last, 1, code.first):
        values = [code.load(code.x + 4 * lanes * number) for number in range(several)]
        for number, mixed in enumerate(code.interleaved(values)):
            code.store(mixed, code.out + 4 * lanes * number)
    x, out = torch.randn(several, lanes), torch.zeros(lanes, several)
    kernel = compile_functions(f"{several} vectors of {lanes} side by side", [code])["mix"]
    kernel(x.data_ptr(), out.data_ptr(), pieces=[(0, 1)])
    assert torch.equal(out, x.T)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("wide", [3, 16, 37])
def test_vectors_of_other_machines(lanes: int, wide: int) -> None:
    x, out = torch.randn(3, 5, wide), torch.full((5, wide + 2, 3), torch.nan)
    frame_kernel(lanes)(
        *(x.data_ptr(), 0, *(4 * step for step in x.stride()), 3, 5, wide, 0, 1),
        *(out.data_ptr(), 5, (wide + 2) * 3),
        pieces=[(0, 2), (2, 5)],
    )
    assert torch.equal(out, functional.pad(x, (1, 1)).permute(1, 2, 0))

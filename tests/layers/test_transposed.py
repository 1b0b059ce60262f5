"""Transposed convolution against torch's, along one to three axes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from striate import design
from striate.design import DesignError
from striate.layers import module

AXIS = st.tuples(
    st.integers(1, 4),  # kernel
    st.integers(1, 3),  # stride
    st.integers(0, 2),  # padding
    st.integers(0, 2),  # extra
    st.integers(1, 3),  # dilation
    st.integers(1, 5),  # size
)


@settings(deadline=None, max_examples=60)
@given(st.lists(AXIS, min_size=1, max_size=3), st.integers(1, 2), st.booleans())
def test_sizes_parameters_and_values_are_torchs(
    axes: list[tuple[int, int, int, int, int, int]], groups: int, bias: bool
) -> None:
    kernel, stride, padding, extra, dilation, space = (tuple(e) for e in zip(*axes, strict=True))
    assume(all(e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)))
    record = design.ConvTranspose(
        name="up",
        inputs=("x",),
        features=4,
        kernel=kernel,
        stride=stride,
        padding=tuple((p, p) for p in padding),
        extra=extra,
        dilation=dilation,
        groups=groups,
        bias=bias,
    )
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[len(axes) - 1]
    theirs = kind(2, 4, kernel, stride, padding, extra, groups, bias, dilation)
    shape = (2, *space)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    try:
        expected = theirs(x)
    except RuntimeError:  # less than nothing
        expected = torch.empty(0)
    if not expected.numel():
        with pytest.raises(DesignError, match="up: nothing is left of"):
            record.output(shape)
        return
    assert record.output(shape) == expected.shape[1:]
    assert {each.name: each.shape for each in record.parameters(shape)} == {
        name: tuple(each.shape) for name, each in theirs.named_parameters()
    }
    ours = module(record, shape)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), expected)


def test_multiply_adds_are_those_of_the_convolution_it_transposes() -> None:
    up = design.ConvTranspose(
        name="up",
        inputs=("x",),
        features=3,
        kernel=(4, 4),
        stride=(2, 2),
        padding=((1, 1), (1, 1)),
        extra=(0, 0),
        dilation=(1, 1),
    )
    down = design.Conv(
        name="down",
        inputs=("x",),
        features=8,
        kernel=(4, 4),
        stride=(2, 2),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
    )
    assert up.output((8, 5, 6)) == (3, 10, 12)
    assert down.output((3, 10, 12)) == (8, 5, 6)
    assert up.macs((8, 5, 6)) == down.macs((3, 10, 12)) == 8 * 5 * 6 * 3 * 16

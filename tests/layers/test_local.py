"""Locally connected modules against convolutions, place by place."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from striate import design
from striate.layers import Local

sizes = st.integers(1, 3)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(sizes, sizes, st.tuples(st.integers(0, 2), st.integers(0, 2)), st.integers(3, 6)),
        min_size=1,
        max_size=3,
    ),
    sizes,
    sizes,
    st.booleans(),
)
def test_each_place_is_a_convolution_of_its_own(
    axes: list[tuple[int, int, tuple[int, int], int]], channels: int, features: int, bias: bool
) -> None:
    kernel, stride, padding, space = (tuple(each) for each in zip(*axes, strict=True))
    record = design.Local(
        name="l",
        inputs=("x",),
        features=features,
        kernel=kernel,
        stride=stride,
        padding=padding,
        bias=bias,
    )
    shape = (channels, *space)
    layer = Local(record, shape).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=generator)
    x = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    y = layer(x)
    assert y.shape[1:] == record.output(shape)
    assert [tuple(each.shape) for each in layer.parameters()] == [
        each.shape for each in record.parameters(shape)
    ]
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[len(axes) - 1]
    padded = functional.pad(x, [end for pair in reversed(padding) for end in pair])
    for place in ((0,) * len(axes), tuple(size - 1 for size in y.shape[2:])):
        everywhere = convolve(padded, layer.weight[place], None, stride)
        expected = everywhere[(..., *place)]
        if layer.bias is not None:
            expected = expected + layer.bias[(slice(None), *place)]
        torch.testing.assert_close(y[(..., *place)], expected)


def test_equal_filters_are_a_convolution() -> None:
    record = design.Local(
        name="l",
        inputs=("x",),
        features=4,
        kernel=(3, 3),
        stride=(2, 1),
        padding=((1, 1), (0, 2)),
    )
    layer = Local(record, (3, 9, 8))
    weight, bias = torch.randn(4, 3, 3, 3), torch.randn(4)
    with torch.no_grad():
        layer.weight.copy_(weight.expand_as(layer.weight))
        assert layer.bias is not None
        layer.bias.copy_(bias[:, None, None].expand_as(layer.bias))
    x = torch.randn(2, 3, 9, 8)
    expected = functional.conv2d(functional.pad(x, (0, 2, 1, 1)), weight, bias, (2, 1))
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)

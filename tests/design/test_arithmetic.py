"""Output sizes against the lectures' figures, and against torch over a space of cases."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from striate.design.arithmetic import (
    adaptive_windows,
    output_size,
    padding_by,
    remainder,
    same_padding,
    strided_same_padding,
    window_extent,
)

small = st.integers(1, 7)


def test_a_window_spans_its_kernel_and_what_lies_between() -> None:
    assert [window_extent(kernel) for kernel in (1, 2, 3, 7)] == [1, 2, 3, 7]
    assert [window_extent(3, dilation) for dilation in (1, 2, 4)] == [3, 5, 9]
    assert [same_padding(kernel) for kernel in (1, 4, 5)] == [(0, 0), (1, 2), (2, 2)]
    assert strided_same_padding(32, 5, 2) == (1, 2) and remainder(7, 3) == 0
    assert strided_same_padding(32, 1, 2) == (0, 0)  # a pixel is left over already
    assert padding_by("full", 3) == (2, 2) and output_size(7, 3) == 5


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "expected"),
    [(7, 3, 1, 0, 5), (7, 3, 2, 0, 3), (32, 5, 1, 2, 32), (227, 11, 4, 0, 55), (27, 5, 1, 2, 27)],
)
def test_lectures(size: int, kernel: int, stride: int, padding: int, expected: int) -> None:
    assert output_size(size, kernel, stride, (padding, padding)) == expected


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 30), small, st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_convolution_as_torch(size: int, k: int, stride: int, padding: int, dilation: int) -> None:
    ours = output_size(size, k, stride, (padding, padding), dilation)
    layer = nn.Conv1d(1, 1, k, stride, padding, dilation, device="meta")
    if ours < 1:
        with pytest.raises(RuntimeError):
            layer(torch.empty(1, 1, size, device="meta"))
    else:
        assert layer(torch.empty(1, 1, size, device="meta")).shape[-1] == ours


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 30), small, st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_pooling_as_torch(size: int, k: int, stride: int, padding: int, ceil: bool) -> None:
    assume(padding <= k // 2)
    ours = output_size(size, k, stride, (padding, padding), ceil=ceil)
    layer = nn.MaxPool2d((1, k), (1, stride), (0, padding), ceil_mode=ceil)
    if ours < 1:
        with pytest.raises(RuntimeError):
            layer(torch.zeros(1, 1, 1, size))
    else:
        assert layer(torch.zeros(1, 1, 1, size)).shape[-1] == ours


@given(st.integers(1, 40), small, st.integers(1, 3))
def test_same_padding_keeps_the_size(size: int, kernel: int, dilation: int) -> None:
    assert output_size(size, kernel, 1, same_padding(kernel, dilation), dilation) == size


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 9))
def test_adaptive_windows_as_torch(size: int, count: int) -> None:
    x = torch.arange(size, dtype=torch.float64).view(1, 1, size)
    means = [x[0, 0, start:end].mean().item() for start, end in adaptive_windows(size, count)]
    assert nn.AdaptiveAvgPool1d(count)(x)[0, 0].tolist() == pytest.approx(means)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 30),
    small,
    st.integers(1, 4),
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    st.integers(1, 3),
)
def test_uneven_padding_as_torch(
    size: int, k: int, stride: int, padding: tuple[int, int], dilation: int
) -> None:
    ours = output_size(size, k, stride, padding, dilation)
    padded = nn.functional.pad(torch.empty(1, 1, size, device="meta"), padding)
    layer = nn.Conv1d(1, 1, k, stride, 0, dilation, device="meta")
    if ours < 1:
        with pytest.raises(RuntimeError):
            layer(padded)
    else:
        assert layer(padded).shape[-1] == ours


@given(st.integers(1, 40), small, st.integers(1, 5), st.integers(1, 3))
def test_rules_of_padding(size: int, kernel: int, stride: int, dilation: int) -> None:
    extent = (kernel - 1) * dilation + 1
    for rule, expected in (
        ("zero", size - extent + 1),
        ("valid", size - extent + 1),
        ("same", size),
        ("full", size + extent - 1),
    ):
        padding = padding_by(rule, kernel, dilation)  # type: ignore[arg-type]
        assert output_size(size, kernel, 1, padding, dilation) == max(expected, 0)
    padding = strided_same_padding(size, kernel, stride, dilation)
    if extent >= stride:  # else windows that keep ceil(W / S) leave pixels out, as TensorFlow's do
        assert output_size(size, kernel, stride, padding, dilation) == -(-size // stride)
    assert 0 <= padding[1] - padding[0] <= 1


@given(st.integers(1, 40), small, st.integers(1, 5), st.integers(0, 5))
def test_the_remainder_is_what_no_window_reaches(
    size: int, kernel: int, stride: int, padding: int
) -> None:
    """Brute force: put windows down until none fits."""
    pads = (padding, padding)
    total = size + 2 * padding
    ends = [start + kernel for start in range(0, total, stride) if start + kernel <= total]
    assert output_size(size, kernel, stride, pads) == len(ends)
    if ends:
        assert remainder(size, kernel, stride, pads) == total - ends[-1]

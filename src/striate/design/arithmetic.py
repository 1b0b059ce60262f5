"""Output sizes and other shape arithmetic: pure integers, nothing else.

All functions work on one axis; a layer applies them axis by axis. The formulas are those of
Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

Padding = tuple[int, int]
PaddingRule = Literal["zero", "valid", "same", "full"]


def window_extent(kernel: int, dilation: int = 1) -> int:
    """Return how many pixels a dilated window spans: (kernel - 1) * dilation + 1."""
    return (kernel - 1) * dilation + 1


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: Padding = (0, 0),
    dilation: int = 1,
    ceil: bool = False,
) -> int:
    """Return the number of window positions along one axis: floor((W - F + P) / S) + 1.

    Args:
        size: W, pixels of the input.
        kernel: F before dilation.
        stride: S.
        padding: pixels added (before, after); P is their sum.
        dilation: distance of neighbouring taps.
        ceil: round up instead, but never start a window wholly in the padding after the input
            (the rule of Caffe and torch).

    Returns:
        The size, zero or negative where the window does not fit.

    Example:
        >>> [output_size(7, 3, stride) for stride in (1, 2, 3)], output_size(227, 11, 4)
        ([5, 3, 2], 55)
    """
    free = size + sum(padding) - window_extent(kernel, dilation)
    if not ceil:
        return free // stride + 1 if free >= 0 else 0
    count = -(-free // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding[0] else count


def same_padding(kernel: int, dilation: int = 1) -> Padding:
    """Return the padding that keeps the size at stride 1; the odd pixel goes after.

    Example:
        >>> same_padding(3), same_padding(5), same_padding(2)
        ((1, 1), (2, 2), (0, 1))
    """
    extra = window_extent(kernel, dilation) - 1
    return (extra // 2, extra - extra // 2)


def padding_by(rule: PaddingRule, kernel: int, dilation: int = 1) -> Padding:
    """Return the padding that a rule's name stands for, at stride 1.

    `zero` and `valid` pad nothing: windows lie within the image, W - F + 1. `same` keeps W. `full`
    has every window that touches a pixel: W + F - 1.

    Example:
        >>> [padding_by(rule, 5) for rule in ("valid", "same", "full")]
        [(0, 0), (2, 2), (4, 4)]
    """
    if rule == "same":
        return same_padding(kernel, dilation)
    reach = window_extent(kernel, dilation) - 1 if rule == "full" else 0
    return (reach, reach)


def strided_same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Padding:
    """Return the padding that gives ceil(W / S) positions, as TensorFlow's `same` does.

    Other than at stride 1 it depends on the size, so it is no attribute of a layer.

    Example:
        >>> strided_same_padding(224, 7, 2), strided_same_padding(32, 5, 2)
        ((2, 3), (1, 2))
    """
    total = (-(-size // stride) - 1) * stride + window_extent(kernel, dilation) - size
    return (max(total, 0) // 2, max(total, 0) - max(total, 0) // 2)


def remainder(
    size: int, kernel: int, stride: int = 1, padding: Padding = (0, 0), dilation: int = 1
) -> int:
    """Return how many pixels at the end no window reaches, padding included; 0 is an exact fit.

    Example:
        >>> [remainder(7, 3, stride) for stride in (1, 2, 3)]
        [0, 0, 1]
    """
    return (size + sum(padding) - window_extent(kernel, dilation)) % stride


def adaptive_windows(size: int, count: int) -> list[tuple[int, int]]:
    """Return (start, end) of each window of adaptive pooling from `size` to `count` positions."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def volume(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape."""
    return prod(shape)

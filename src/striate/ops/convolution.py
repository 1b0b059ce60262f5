"""`conv2d`: one convolution by whichever algorithm is asked for, and the table of all there are.

`direct` is torch's own operator itself, untouched; every other one is a custom operator of ours
with the same derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from striate.errors import UnknownName
from striate.ops.algorithm import Algorithm, operator
from striate.ops.direct import DIRECT, convolve
from striate.ops.fft import FFT, FFT_TILED
from striate.ops.im2col import IM2COL
from striate.ops.packed import PACKED
from striate.ops.reference import REFERENCE
from striate.ops.toeplitz import TOEPLITZ
from striate.ops.windows import DEPTHWISE
from striate.ops.winograd import WINOGRAD
from striate.records import nearest

Sizes = int | tuple[int, int]

_EVERY = (REFERENCE, TOEPLITZ, IM2COL, FFT, FFT_TILED, *WINOGRAD, PACKED, DEPTHWISE, DIRECT)
ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({each.name: each for each in _EVERY})
"""Every algorithm by its name."""

_OPERATORS: dict[str, Callable[..., Tensor]] = {
    name: convolve if name == "direct" else operator(each) for name, each in ALGORITHMS.items()
}


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | tuple[tuple[int, int], tuple[int, int]] = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    algorithm: str = "direct",
) -> Tensor:
    """Convolve images (correlate, as networks do).

    y[n, k, o] = bias[k] + sum over c, i of x[n, c, stride * o + dilation * i - padding] w[k, c, i]

    Args:
        x: images.
        weight: filters.
        bias: one number a feature.
        stride: of the windows, down and across.
        padding: zeros on all sides, above-and-below and left-and-right, or (before, after) for
            both dimensions.
        dilation: distance of a filter's taps.
        groups: parts of the channels that are convolved apart.
        algorithm: a name in `ALGORITHMS`.

    Input shape: (batch, channels, height, width)
    Output shape: (batch, features, out_height, out_width)

    Raises:
        UnknownName: no such algorithm.
        UsageError: shapes that do not fit each other, or a problem that the algorithm is not for
            (`direct` leaves both to torch).

    Example:
        >>> import torch
        >>> x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
        >>> conv2d(x, weight, padding=1, algorithm="winograd_4x4").shape
        torch.Size([2, 4, 8, 8])
    """
    if algorithm not in _OPERATORS:
        near = nearest(algorithm, ALGORITHMS)
        raise UnknownName("convolution algorithm", algorithm, near)
    down, across = map(_pair, _pair(padding))
    return _OPERATORS[algorithm](
        x, weight, bias, _pair(stride), (*down, *across), _pair(dilation), groups
    )


def _pair(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value, value)

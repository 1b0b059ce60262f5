"""`conv2d`: one convolution by whichever algorithm is asked for, and the table of all there are.

`direct` is torch's own operator itself, untouched; every other one is a custom operator of ours
with the same derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import index
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch as functorch
from torch.autograd import forward_ad

from striate.errors import UnknownName, UsageError
from striate.ops.algorithm import Algorithm, operator
from striate.ops.direct import DIRECT, convolve
from striate.ops.fft import FFT, FFT_TILED
from striate.ops.im2col import IM2COL
from striate.ops.outer import OUTER
from striate.ops.packed import PACKED
from striate.ops.problem import Pair
from striate.ops.reference import REFERENCE
from striate.ops.toeplitz import TOEPLITZ
from striate.ops.windows import DEPTHWISE
from striate.ops.winograd import WINOGRAD
from striate.records import nearest

Sizes = int | Pair

_EVERY = (REFERENCE, TOEPLITZ, IM2COL, FFT, FFT_TILED, *WINOGRAD, PACKED, OUTER, DEPTHWISE, DIRECT)
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
    padding: Sizes | tuple[tuple[int, int], tuple[int, int]] | str = 0,
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
            both dimensions; `valid` for none, `same` for as many as give a result of the same size
            (stride 1; an odd one comes after).
        dilation: distance of a filter's taps.
        groups: parts of the channels that are convolved apart.
        algorithm: a name in `ALGORITHMS`.

    Input shape: (batch, channels, height, width)
    Output shape: (batch, features, out_height, out_width)

    Raises:
        UnknownName: no such algorithm.
        UsageError: tensors that do not fit each other, numbers that are no convolution (the same
            for all algorithms), a problem that the algorithm is not for, or derivatives by
            `torch.func`, which only `direct` has.

    Example:
        >>> import torch
        >>> x, weight = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
        >>> conv2d(x, weight, padding=1, algorithm="winograd_4x4").shape
        torch.Size([2, 4, 8, 8])
    """
    if not isinstance(algorithm, str) or algorithm not in _OPERATORS:
        wanted = str(algorithm)
        raise UnknownName("convolution algorithm", wanted, nearest(wanted, ALGORITHMS))
    for name, value in (("x", x), ("weight", weight), ("bias", bias)):
        if not (isinstance(value, Tensor) or (name == "bias" and value is None)):
            raise UsageError(
                f"Expected a tensor as {name}, received {type(value).__name__}: "
                f"torch.as_tensor({name}) makes one of an array."
            )
    if algorithm != "direct" and not torch.compiler.is_compiling() and _differentiating():
        raise UsageError(
            f"Expected torch.autograd to differentiate algorithm={algorithm!r}, received "
            "torch.func's grad, vjp or jvp, or forward mode: algorithm='direct' works under them."
        )
    steps, gaps = _pair("stride", stride), _pair("dilation", dilation)
    ends, parts = _ends(padding, weight, steps, gaps), _pair("groups", (groups, groups), groups)[0]
    return _OPERATORS[algorithm](x, weight, bias, steps, ends, gaps, parts)


def _differentiating() -> bool:
    """Say whether torch differentiates in a way that it has for its own operators only.

    It would refuse backwards in words of its own, and forwards give zeros.
    """
    if forward_ad._current_level >= 0:
        return True
    return any(each.key() in _DERIVATIVES for each in functorch.get_interpreter_stack() or ())


_DERIVATIVES = (functorch.TransformType.Grad, functorch.TransformType.Jvp)


def _pair(name: str, value: Any, received: Any = None) -> Pair:
    """Return a number for both dimensions, or those of each.

    Args:
        name: of the argument.
        value: whole numbers of any kind.
        received: the argument, where the value is a part of it.
    """
    two = value if isinstance(value, (tuple, list)) else (value, value)
    try:
        down, across = two
        return index(down), index(across)
    except (TypeError, ValueError):
        received = value if received is None else received
        raise UsageError(
            f"Expected {_FORMS.get(name, _FORMS['stride'])} as {name}, received {name}="
            f"{received!r}: no fractions, and no more than these."
        ) from None


_FORMS = {
    "stride": "a whole number, or two (down, across)",
    "padding": (
        "a whole number, two (down, across), ((above, below), (left, right)), 'same' or 'valid'"
    ),
    "groups": "a whole number",
}


def _ends(padding: Any, weight: Tensor, stride: Pair, dilation: Pair) -> tuple[int, ...]:
    """Return padding above, below, left, right."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        if stride != (1, 1):
            raise UsageError(
                f"Expected stride=1 with padding='same', received stride={stride}: "
                "say the padding in numbers."
            )
        more = [gap * (taps - 1) for gap, taps in zip(dilation, weight.shape[2:], strict=False)]
        return tuple(end for each in more for end in (each // 2, each - each // 2))
    two = padding if isinstance(padding, (tuple, list)) and len(padding) == 2 else (padding,) * 2
    down, across = (_pair("padding", each, padding) for each in two)
    return *down, *across

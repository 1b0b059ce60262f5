"""Convolutions and fully connected layers, as calls of torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from striate import design
from striate.design.arithmetic import same_padding
from striate.layers.describe.calls import Call, Unknown, converts, tuple_of


@converts("conv1d", "conv2d", "conv3d")
def _convolution(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> list[str]:
    axes = weight.dim() - 2
    kernel, dilations = tuple(weight.shape[2:]), tuple_of(dilation, axes)
    if padding == "same":
        pads = tuple(map(same_padding, kernel, dilations))
    else:
        before = (0,) * axes if padding == "valid" else tuple_of(padding, axes)
        pads = tuple((each, each) for each in before)
    return [
        call.put(
            design.Conv,
            call.value(input),
            owned=call.own(weight=weight, bias=bias),
            features=weight.shape[0],
            kernel=kernel,
            stride=tuple_of(stride, axes),
            padding=pads,
            dilation=dilations,
            groups=groups,
            bias="none" if bias is None else "channel",
            in_channels=weight.shape[1] * groups,
        )
    ]


@converts("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> list[str]:
    axes = weight.dim() - 2
    return [
        call.put(
            design.ConvTranspose,
            call.value(input),
            owned=call.own(weight=weight, bias=bias),
            features=weight.shape[1] * groups,
            kernel=tuple(weight.shape[2:]),
            stride=tuple_of(stride, axes),
            padding=tuple((each, each) for each in tuple_of(padding, axes)),
            extra=tuple_of(output_padding, axes),
            dilation=tuple_of(dilation, axes),
            groups=groups,
            bias=bias is not None,
            in_channels=weight.shape[0],
        )
    ]


@converts("linear")
def _linear(
    call: Call, outs: list[Tensor], input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> list[str]:
    if weight.dim() != 2:
        raise Unknown("its weight is no matrix")
    kind = design.Linear if len(call.shape(input)) == 1 else design.LinearLast
    return [
        call.put(
            kind,
            call.value(input),
            owned=call.own(weight=weight, bias=bias),
            features=weight.shape[0],
            bias=bias is not None,
            in_features=weight.shape[1],
        )
    ]

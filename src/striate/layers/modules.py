"""From a record to the nn.Module that computes it: torch's own where there is one.

`module` is one singledispatch; a new kind registers one function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from math import prod

import torch
from torch import nn

from striate import design
from striate.design import Shape
from striate.design.pointwise import Noise
from striate.errors import DesignError
from striate.layers.batchnorm import BatchNorm
from striate.layers.classical import CCells, Rbf, SCells, Subsample
from striate.layers.convolution import Conv2d, Convolution
from striate.layers.dropout import Dropout
from striate.layers.dropout import Noise as NoiseModule
from striate.layers.elementwise import ChannelDropout, Combine, Elementwise, Multiply
from striate.layers.local import Local
from striate.layers.moving import Permute, Reduce, Reshape, Resize, Slice
from striate.layers.pointwise import Affine, ScaledTanh
from striate.layers.wiring import Add, Concat, Pad, PaddedPool, Shortcut
from striate.ops.padding import one_sided, uneven

Kinds = dict[int, Callable[..., nn.Module]]
"""torch's modules of one kind, by the number of axes."""

_CONV: Kinds = {1: nn.Conv1d, 2: Conv2d, 3: nn.Conv3d}
_CONV_TRANSPOSE: Kinds = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_MAX_POOL: Kinds = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVG_POOL: Kinds = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
_ADAPTIVE_AVG_POOL: Kinds = {
    1: nn.AdaptiveAvgPool1d,
    2: nn.AdaptiveAvgPool2d,
    3: nn.AdaptiveAvgPool3d,
}
_ADAPTIVE_MAX_POOL: Kinds = {
    1: nn.AdaptiveMaxPool1d,
    2: nn.AdaptiveMaxPool2d,
    3: nn.AdaptiveMaxPool3d,
}


@singledispatch
def module(record: design.Layer, *shapes: Shape) -> nn.Module:
    """Return the module that computes a record, its parameters not yet initialised.

    Args:
        record: the layer.
        shapes: of its inputs, without batch.

    Raises:
        DesignError: the layer is opaque: it can be counted, but not built.
    """
    raise DesignError(
        f"{record.name}: a layer of kind {type(record).__struct_config__.tag} can be counted, but "
        "not built.",
        record.name,
    )


@module.register
def _(record: design.Conv, *shapes: Shape) -> nn.Module:
    if uneven(record.padding) or record.bias == "position" or record.connections is not None:
        return Convolution(record.replace(shares=None), shapes[0])
    return _CONV[len(record.kernel)](
        in_channels=shapes[0][0],
        out_channels=record.features,
        kernel_size=record.kernel,
        stride=record.stride,
        padding=one_sided(record.padding),
        dilation=record.dilation,
        groups=record.groups,
        bias=record.bias == "channel",
    )


@module.register
def _(record: design.ConvTranspose, *shapes: Shape) -> nn.Module:
    if uneven(record.padding):
        raise record.refuse("uneven padding of a transposed convolution cannot be built")
    return _CONV_TRANSPOSE[len(record.kernel)](
        in_channels=shapes[0][0],
        out_channels=record.features,
        kernel_size=record.kernel,
        stride=record.stride,
        padding=one_sided(record.padding),
        output_padding=record.extra,
        dilation=record.dilation,
        groups=record.groups,
        bias=record.bias,
    )


@module.register
def _(record: design.Linear, *shapes: Shape) -> nn.Module:
    return nn.Linear(shapes[0][0], record.features, record.bias)


@module.register
def _(record: design.BatchNorm, *shapes: Shape) -> nn.Module:
    made = BatchNorm(
        shapes[0][0],
        eps=record.eps,
        momentum=record.momentum,
        affine=record.affine,
        track_running_stats=record.running,
    )
    made.frozen = not record.trainable and record.running
    made.corrected = record.corrected
    return made


@module.register
def _(record: design.GroupNorm, *shapes: Shape) -> nn.Module:
    channels = shapes[0][0]
    return nn.GroupNorm(record.groups or channels, channels, record.eps, record.affine)


@module.register
def _(record: design.LayerNorm, *shapes: Shape) -> nn.Module:
    own = shapes[0][-record.axes :]
    return nn.LayerNorm(own, record.eps, record.affine, bias=record.bias)


@module.register
def _(record: design.Dropout, *shapes: Shape) -> nn.Module:
    return Dropout(record.p, record.name)


@module.register
def _(record: Noise, *shapes: Shape) -> nn.Module:
    return NoiseModule(record.form, record.amount, record.name)


@module.register
def _(record: design.ChannelDropout, *shapes: Shape) -> nn.Module:
    return ChannelDropout(record.p, record.name)


@module.register
def _(record: design.LRN, *shapes: Shape) -> nn.Module:
    return nn.LocalResponseNorm(record.size, record.alpha, record.beta, record.k)


@module.register
def _(record: design.MaxPool, *shapes: Shape) -> nn.Module:
    kind = _MAX_POOL[len(record.kernel)]
    if uneven(record.padding):
        pool = kind(record.kernel, record.stride, ceil_mode=record.ceil)
        return PaddedPool(pool, record.padding, -torch.inf)
    return kind(record.kernel, record.stride, one_sided(record.padding), ceil_mode=record.ceil)


@module.register
def _(record: design.AvgPool, *shapes: Shape) -> nn.Module:
    kind = _AVG_POOL[len(record.kernel)]
    if uneven(record.padding):
        if not record.count_padding:
            raise record.refuse(
                "uneven padding that does not count cannot be built yet: put a Pad before it"
            )
        pool = kind(record.kernel, record.stride, ceil_mode=record.ceil)
        return PaddedPool(pool, record.padding, 0.0)
    return kind(
        record.kernel,
        record.stride,
        one_sided(record.padding),
        ceil_mode=record.ceil,
        count_include_pad=record.count_padding,
    )


@module.register
def _(record: design.Subsample, *shapes: Shape) -> nn.Module:
    mean = design.AvgPool(
        name=record.name,
        inputs=record.inputs,
        kernel=record.kernel,
        stride=record.stride,
        padding=record.padding,
        ceil=record.ceil,
    )
    return Subsample(module(mean, *shapes), prod(record.kernel), shapes[0][0])


@module.register
def _(record: design.Rbf, *shapes: Shape) -> nn.Module:
    return Rbf(record.features, shapes[0][0], record.fixed)


@module.register
def _(record: design.SCells, *shapes: Shape) -> nn.Module:
    return SCells(record, shapes[0])


@module.register
def _(record: design.CCells, *shapes: Shape) -> nn.Module:
    return CCells(record)


@module.register
def _(record: design.Local, *shapes: Shape) -> nn.Module:
    return Local(record.replace(shares=None), shapes[0])


@module.register
def _(record: design.AdaptiveAvgPool, *shapes: Shape) -> nn.Module:
    return _ADAPTIVE_AVG_POOL[len(record.size)](record.size)


@module.register
def _(record: design.AdaptiveMaxPool, *shapes: Shape) -> nn.Module:
    return _ADAPTIVE_MAX_POOL[len(record.size)](record.size)


@module.register
def _(record: design.Shortcut, *shapes: Shape) -> nn.Module:
    return Shortcut(shapes[0][0], record.features, record.stride)


@module.register
def _(record: design.LeakyReLU, *shapes: Shape) -> nn.Module:
    return nn.LeakyReLU(record.slope)


@module.register
def _(record: design.Tanh, *shapes: Shape) -> nn.Module:
    plain = (record.outer, record.inner) == (1.0, 1.0)
    return nn.Tanh() if plain else ScaledTanh(record.outer, record.inner)


@module.register
def _(record: design.Affine, *shapes: Shape) -> nn.Module:
    return Affine(shapes[0][0])


@module.register
def _(record: design.PReLU, *shapes: Shape) -> nn.Module:
    return nn.PReLU(shapes[0][0] if record.each else 1)


@module.register
def _(record: design.Elementwise, *shapes: Shape) -> nn.Module:
    return Elementwise(record.function, record.arguments)


@module.register
def _(record: design.Combine, *shapes: Shape) -> nn.Module:
    return Combine(record.operation, record.shape, record.constant, record.seen)


@module.register
def _(record: design.LinearLast, *shapes: Shape) -> nn.Module:
    return nn.Linear(shapes[0][-1], record.features, record.bias)


@module.register
def _(record: design.Reshape, *shapes: Shape) -> nn.Module:
    return Reshape(record.shape, record.kept)


@module.register
def _(record: design.Permute, *shapes: Shape) -> nn.Module:
    return Permute(record.order)


@module.register
def _(record: design.Slice, *shapes: Shape) -> nn.Module:
    return Slice(record.ranges)


@module.register
def _(record: design.Resize, *shapes: Shape) -> nn.Module:
    return Resize(record)


@module.register
def _(record: design.Reduce, *shapes: Shape) -> nn.Module:
    return Reduce(record.function, record.axes, record.keep)


@module.register
def _(record: design.Pad, *shapes: Shape) -> nn.Module:
    modes = {"zero": "constant", "reflect": "reflect", "edge": "replicate"}
    return Pad(record.padding, modes[record.mode])


def _register_plain(kind: type[design.Layer], build: type[nn.Module], *arguments: int) -> None:
    module.register(kind, lambda record, *shapes: build(*arguments))


_register_plain(design.ReLU, nn.ReLU)
_register_plain(design.ReLU6, nn.ReLU6)
_register_plain(design.Sigmoid, nn.Sigmoid)
_register_plain(design.GELU, nn.GELU)
_register_plain(design.SiLU, nn.SiLU)
_register_plain(design.Softmax, nn.Softmax, 1)
_register_plain(design.LogSoftmax, nn.LogSoftmax, 1)
_register_plain(design.Multiply, Multiply)
_register_plain(design.Identity, nn.Identity)
_register_plain(design.Flatten, nn.Flatten)
_register_plain(design.Add, Add)
_register_plain(design.Concat, Concat)

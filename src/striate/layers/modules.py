"""From a record to the nn.Module that computes it: torch's own where there is one.

`module` is one singledispatch; a new kind registers one function. The classes below are those that
torch.nn lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import design
from striate.design import Shape
from striate.errors import DesignError
from striate.layers.batchnorm import BatchNorm
from striate.layers.dropout import Dropout


class Conv2d(nn.Conv2d):
    """torch's convolution, with the name of the algorithm that computes it; a plan sets that."""

    algorithm: str = "default"


class Convolution(nn.Module):
    """A convolution that torch's module cannot express, by its record.

    Padding may differ before and after; the bias may be one a position; filters may see only some
    channels (`connections`): the weight then holds just those kernels.

    Input shape: (batch, channels, *space)
    Output shape: (batch, features, *out_space)
    """

    def __init__(self, record: design.Conv, shape: Shape) -> None:
        super().__init__()
        self.record, self.channels = record, shape[0]
        parameters = {each.name: each.shape for each in record.parameters(shape)}
        self.weight = nn.Parameter(torch.empty(parameters["weight"]))
        self.bias = nn.Parameter(torch.empty(parameters["bias"])) if "bias" in parameters else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution: (batch, channels, *space) -> (batch, features, *out_space)."""
        record, axes = self.record, len(self.record.kernel)
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
        ends = [end for pair in reversed(record.padding) for end in pair]
        y = convolve(
            functional.pad(x, ends),
            self._dense(),
            self.bias if record.bias == "channel" else None,
            record.stride,
            0,
            record.dilation,
            record.groups,
        )
        return y if self.bias is None or record.bias != "position" else y + self.bias

    def _dense(self) -> Tensor:
        rows = self.record.connections
        if rows is None:
            return self.weight
        filters = [index for index, row in enumerate(rows) for _ in row]
        channels = [channel for row in rows for channel in row]
        dense = self.weight.new_zeros((len(rows), self.channels, *self.record.kernel))
        where = (torch.tensor(filters), torch.tensor(channels))
        return dense.index_put(where, self.weight)


class Add(nn.Module):
    """Sum of two or more tensors of one shape."""

    def forward(self, *values: Tensor) -> Tensor:
        """Return the sum: (batch, ...), (batch, ...), ... -> (batch, ...)."""
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class Concat(nn.Module):
    """Channels of all inputs, one after another."""

    def forward(self, *values: Tensor) -> Tensor:
        """Join channels: (batch, channels_i, ...) for each i -> (batch, sum of channels, ...)."""
        return torch.cat(values, dim=1)


class Shortcut(nn.Module):
    """Option A of the ResNet paper: strided pixels, zeros as new channels.

    Input shape: (batch, channels, *space)
    Output shape: (batch, features, *ceil(space / stride))
    """

    def __init__(self, channels: int, features: int, stride: tuple[int, ...]) -> None:
        super().__init__()
        self.stride = stride
        self.before = (features - channels) // 2
        self.after = features - channels - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Subsample and pad channels: (batch, channels, ...) -> (batch, features, ...)."""
        for axis, stride in enumerate(self.stride, start=2):
            index = [slice(None)] * axis + [slice(None, None, stride)]
            x = x[tuple(index)]
        return functional.pad(x, [0, 0] * len(self.stride) + [self.before, self.after])


class ScaledTanh(nn.Module):
    """outer * tanh(inner * x)."""

    def __init__(self, outer: float, inner: float) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation, of the input's shape."""
        return self.outer * torch.tanh(self.inner * x)


class PaddedPool(nn.Module):
    """A pooling whose padding differs before and after: pads first, then pools.

    Args:
        pool: the pooling, without padding.
        ends: as functional.pad takes them.
        value: what to pad with; minus infinity never wins a maximum.
    """

    def __init__(self, pool: nn.Module, ends: list[int], value: float) -> None:
        super().__init__()
        self.pool, self.ends, self.value = pool, ends, value

    def forward(self, x: Tensor) -> Tensor:
        """Pad and pool: (batch, channels, *space) -> (batch, channels, *out_space)."""
        y: Tensor = self.pool(functional.pad(x, self.ends, value=self.value))
        return y


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
    symmetric = all(before == after for before, after in record.padding)
    if not symmetric or record.bias == "position" or record.connections is not None:
        return Convolution(record.replace(shares=None), shapes[0])
    return _by_axes(nn.Conv1d, Conv2d, nn.Conv3d, len(record.kernel))(
        shapes[0][0],
        record.features,
        record.kernel,
        record.stride,
        tuple(before for before, _ in record.padding),
        record.dilation,
        record.groups,
        record.bias == "channel",
    )


@module.register
def _(record: design.Linear, *shapes: Shape) -> nn.Module:
    return nn.Linear(shapes[0][0], record.features, record.bias)


@module.register
def _(record: design.BatchNorm, *shapes: Shape) -> nn.Module:
    return BatchNorm(shapes[0][0], record.eps, record.momentum, record.affine)


@module.register
def _(record: design.Dropout, *shapes: Shape) -> nn.Module:
    return Dropout(record.p, record.name)


@module.register
def _(record: design.LRN, *shapes: Shape) -> nn.Module:
    return nn.LocalResponseNorm(record.size, record.alpha, record.beta, record.k)


@module.register
def _(record: design.MaxPool, *shapes: Shape) -> nn.Module:
    kind = _by_axes(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, len(record.kernel))
    if (ends := _uneven(record)) is not None:
        pool = kind(record.kernel, record.stride, ceil_mode=record.ceil)
        return PaddedPool(pool, ends, -torch.inf)
    return kind(record.kernel, record.stride, _before(record), ceil_mode=record.ceil)


@module.register
def _(record: design.AvgPool, *shapes: Shape) -> nn.Module:
    kind = _by_axes(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, len(record.kernel))
    if (ends := _uneven(record)) is not None:
        if not record.count_padding:
            raise record.refuse("uneven padding that does not count cannot be built yet")
        return PaddedPool(kind(record.kernel, record.stride, ceil_mode=record.ceil), ends, 0.0)
    return kind(record.kernel, record.stride, _before(record), record.ceil, record.count_padding)


@module.register
def _(record: design.AdaptiveAvgPool, *shapes: Shape) -> nn.Module:
    kinds = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
    return _by_axes(*kinds, len(record.size))(record.size)


@module.register
def _(record: design.AdaptiveMaxPool, *shapes: Shape) -> nn.Module:
    kinds = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
    return _by_axes(*kinds, len(record.size))(record.size)


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


def _register_plain(kind: type[design.Layer], build: type[nn.Module], *arguments: int) -> None:
    module.register(kind, lambda record, *shapes: build(*arguments))


_register_plain(design.ReLU, nn.ReLU)
_register_plain(design.ReLU6, nn.ReLU6)
_register_plain(design.Sigmoid, nn.Sigmoid)
_register_plain(design.GELU, nn.GELU)
_register_plain(design.SiLU, nn.SiLU)
_register_plain(design.Softmax, nn.Softmax, 1)
_register_plain(design.Identity, nn.Identity)
_register_plain(design.Flatten, nn.Flatten)
_register_plain(design.Add, Add)
_register_plain(design.Concat, Concat)


def _by_axes(
    one: type[nn.Module], two: type[nn.Module], three: type[nn.Module], axes: int
) -> Callable[..., nn.Module]:
    return (one, two, three)[axes - 1]


def _before(record: design.Pool) -> tuple[int, ...]:
    return tuple(before for before, _ in record.padding)


def _uneven(record: design.Pool) -> list[int] | None:
    """Return the padding as functional.pad takes it where it differs before and after."""
    if all(before == after for before, after in record.padding):
        return None
    return [end for pair in reversed(record.padding) for end in pair]

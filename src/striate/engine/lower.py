"""From a node to the kernel that computes it on this machine: one singledispatch on its record.

A kind without a kernel of its own is computed by the net's module, in evaluation mode, so that
every network that can be built can be accelerated.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import singledispatch

import torch
from torch import Tensor
from torch.nn import functional

from striate import design
from striate.design import Shape
from striate.engine import fast, onednn, pixels
from striate.engine.activation import in_place
from striate.engine.kernel import Kernel, Plain, channels_last
from striate.engine.node import Node
from striate.ops.images import scratch
from striate.ops.padding import Padding, ends, one_sided, uneven


@singledispatch
def kernel(record: design.Layer, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    """Return what computes a node.

    Args:
        record: the node's.
        node: what to compute, with its epilogue.
        batch: images at a time that it is made for; others work too.
        algorithm: of a convolution.
    """
    return Module(node)


class Module(Plain):
    """The net's own module, copied, so that what happens to the net does not happen here."""

    def __init__(self, node: Node) -> None:
        self.module = copy.deepcopy(node.module).eval().requires_grad_(False)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Call the module."""
        y: Tensor = self.module(*values)
        if any(_same_memory(y, value) for value in values):  # a view would outlive its memory
            y = y.clone()
        return channels_last(y) if y.dim() == 4 else y


class Convolution(Plain):
    """torch's convolution, along any axes, with what follows done in place."""

    def __init__(self, record: design.Conv, node: Node) -> None:
        axes = len(record.kernel)
        self.convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
        apart = uneven(record.padding)
        self.ends = ends(record.padding) if apart else None
        self.padding = (0,) * axes if apart else one_sided(record.padding)
        if node.weight is None:
            raise TypeError(f"{node.name} has no weight")
        self.weight, self.bias = node.weight, node.bias
        if axes == 2:
            self.weight = node.weight.contiguous(memory_format=torch.channels_last)
        self.settings = (record.stride, self.padding, record.dilation, record.groups)
        self.activate = in_place(node.activation)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Convolve: (batch, channels, *space) -> (batch, features, *out_space)."""
        x = values[0] if self.ends is None else functional.pad(values[0], self.ends)
        y: Tensor = self.convolve(x, self.weight, self.bias, *self.settings)
        if len(values) > 1:
            y += values[1]
        return self.activate(y)


class Padded(Plain):
    """A convolution whose padding differs before and after: padded first."""

    def __init__(self, padding: Padding, inner: Kernel) -> None:
        self.ends, self.inner, self.over = ends(padding), inner, inner.over

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Pad and convolve: (batch, channels, *space) -> (batch, features, *out_space)."""
        return self.inner([functional.pad(values[0], self.ends), *values[1:]], out)


class Chain(Plain):
    """One kernel after the other; what is between lies where the next call's will."""

    def __init__(self, kernels: list[Kernel], shapes: list[Shape]) -> None:
        *before, self.last = kernels
        self.before = list(zip(before, shapes, strict=False))
        self.into, self.over, self.slices = self.last.into, self.last.over, kernels[0].slices

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Compute: (batch, channels, height, width) -> (batch, features, ...)."""
        x = values[0]
        for number, (each, shape) in enumerate(self.before):
            x = each([x], _between(number, len(x), shape) if each.into else None)
        return self.last([x, *values[1:]], out)


def _between(number: int, batch: int, shape: Shape) -> Tensor:
    """Return memory for images between two kernels of a chain, channels innermost."""
    count = batch * math.prod(shape)
    channels, high, wide = shape
    memory = scratch.keep(f"between {number}", count)[:count]
    return memory.view(batch, high, wide, channels).permute(0, 3, 1, 2)


class Linear(Plain):
    """torch's product, with what follows done in place; the weight is the net's own."""

    def __init__(self, node: Node) -> None:
        if node.weight is None:
            raise TypeError(f"{node.name} has no weight")
        self.weight, self.bias = node.weight, node.bias
        self.activate = in_place(node.activation)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Multiply: (batch, in_features) -> (batch, features)."""
        return self.activate(functional.linear(values[0], self.weight, self.bias))


class Add(Plain):
    """A sum that no convolution could take."""

    def __init__(self, node: Node) -> None:
        self.activate = in_place(node.activation)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Add: (batch, ...), ... -> (batch, ...)."""
        y = values[0] + values[1] if len(values) > 1 else values[0].clone()
        for value in values[2:]:
            y += value
        return self.activate(y)


class Affine(Plain):
    """A scale and shift of each channel that no convolution could take, by torch's operators."""

    slices = True

    def __init__(self, node: Node) -> None:
        wide = (-1, *[1] * (len(node.shape) - 1))
        if node.weight is None or node.bias is None:
            raise TypeError(f"{node.name} has no scale and shift")
        self.scale, self.shift = node.weight.view(wide), node.bias.view(wide)
        self.activate = in_place(node.activation)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Scale and shift: (batch, channels, ...) -> (batch, channels, ...)."""
        return self.activate(torch.addcmul(self.shift, values[0], self.scale))


@kernel.register
def _(record: design.Conv, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    if node.weight is None:
        return Module(node)
    own = fast.kernel(record, node, batch, algorithm)
    if own is not None:
        return own
    if node.first is not None:
        each = zip(node.parts, fast.apart(node, algorithm), strict=True)
        made = [kernel(part.record, part, batch, name) for part, name in each]
        return Chain(made, [part.shape for part in node.parts])
    if len(record.kernel) != 2 or not onednn.fits(node):
        return Convolution(record, node)
    record, node = _even(record, node)
    if not uneven(record.padding):
        return onednn.Convolution(record, node, batch)
    inside = record.replace(padding=((0, 0), (0, 0)))
    return Padded(record.padding, onednn.Convolution(inside, node, batch))


@kernel.register
def _(record: design.Linear, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return pixels.linear(node) or (onednn.Linear(node) if onednn.fits(node) else Linear(node))


@kernel.register
def _(record: design.Add, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return Add(node)


@kernel.register
def _(record: design.Affine, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return pixels.affine(node) or Affine(node)


@kernel.register
def _(record: design.BatchNorm, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return Module(node)


@kernel.register
def _(record: design.LRN, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return pixels.response(record, node) or Module(node)


@kernel.register
def _(record: design.AdaptiveAvgPool, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return pixels.average(node) or Module(node)


@kernel.register
def _(record: design.AvgPool, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    whole = record.kernel == node.shapes[0][1:] and not any(map(any, record.padding))
    return (pixels.average(node) if whole else None) or Module(node)


@kernel.register
def _(record: design.Flatten, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return pixels.flat(node) or Module(node)


@kernel.register
def _(record: design.MaxPool, node: Node, batch: int, algorithm: str = "default") -> Kernel:
    return pixels.maximum(record, node) or Module(node)


def _even(record: design.Conv, node: Node) -> tuple[design.Conv, Node]:
    """Make padding of (0, 1) even for filters of single channels: with zeros before their taps.

    A window that starts a pixel earlier and skips that pixel is the same window; the copy into a
    padded image took longer than the filters themselves.
    """
    single = record.groups == record.features == node.shapes[0][0]
    if not single or node.weight is None or any(b - a != 1 for a, b in record.padding):
        return record, node
    if set(record.dilation) != {1}:
        return record, node
    even = record.replace(
        kernel=tuple(size + 1 for size in record.kernel),
        padding=tuple((after, after) for _, after in record.padding),
    )
    return even, replace(node, weight=functional.pad(node.weight, [1, 0] * len(record.kernel)))


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()

"""Steps of a network that `striate.ops` has kernels of its own for, beside convolutions.

They write where they are told, slices of channels too, so that steps in a row are made as one.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from striate import design
from striate.engine.activation import limits
from striate.engine.kernel import Kernel
from striate.engine.node import Node
from striate.engine.shared import LARGE
from striate.ops import native, packed, windows
from striate.ops.images import floats


class _Writing:
    """A kernel that reads and writes slices of channels."""

    into = True
    over = False
    slices = True
    any_order = False


class Affine(_Writing):
    """A scale and shift of each channel, and a rectifier, in one pass."""

    def __init__(self, node: Node, scale: Tensor, shift: Tensor, cut: tuple[float, float]) -> None:
        self.run = windows.prepare(scale.view(-1, 1, 1, 1))
        self.shift, self.limits = shift.contiguous(), cut

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Scale and shift: (batch, channels, height, width) -> the same."""
        return self.run(values[0], bias=self.shift, limits=self.limits, out=out)


class Response(_Writing):
    """Local response normalisation."""

    def __init__(self, record: design.LRN, node: Node) -> None:
        self.run = windows.Response(node.shape[0], record.size, record.alpha, record.k)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Normalise: (batch, channels, height, width) -> the same."""
        return self.run(values[0], out=out)


class Maximum(_Writing):
    """Max pooling."""

    def __init__(self, record: design.MaxPool, node: Node) -> None:
        (above, left), space = (before for before, _ in record.padding), node.shape[1:]
        after = [  # what makes the windows as many as there are on paper
            (count - 1) * step + size - length - before
            for count, step, size, length, before in zip(
                space, record.stride, record.kernel, node.shapes[0][1:], (above, left), strict=True
            )
        ]
        high, wide = record.kernel
        down, across = record.stride
        padding = ((above, after[0]), (left, after[1]))
        self.run = windows.Maximum(node.shape[0], (high, wide), (down, across), padding)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Pool: (batch, channels, height, width) -> (batch, channels, *out_space)."""
        return self.run(values[0], out=out)


class Average(_Writing):
    """The mean of each channel over the whole image."""

    def __init__(self, node: Node) -> None:
        self.run = windows.Average(node.shape[0])

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Average: (batch, channels, height, width) -> (batch, channels, 1, 1)."""
        return self.run(values[0], out=out)


class Flat(_Writing):
    """An image of one pixel as a vector: a copy, for memory is shared by shape."""

    def __init__(self, node: Node) -> None:
        self.run = windows.prepare(floats(node.shape[0], 1, 1, 1).fill_(1))

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Flatten: (batch, channels, 1, 1) -> (batch, channels)."""
        y = self.run(values[0], out=_image(out))
        return y[:, :, 0, 0] if out is None else out


class Linear(_Writing):
    """A linear layer, as 1x1 filters of an image of one pixel; its weight is a copy."""

    def __init__(self, node: Node, weight: Tensor, cut: tuple[float, float]) -> None:
        self.run, self.bias, self.limits = packed.prepare(_image(weight)), node.bias, cut

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Multiply: (batch, in_features) -> (batch, features)."""
        x = _image(values[0])
        y = self.run(x, bias=self.bias, limits=self.limits, out=_image(out))
        return y[:, :, 0, 0] if out is None else out


def affine(node: Node) -> Kernel | None:
    """Return the kernel of a scale and shift of images; None where torch's is used."""
    scale, shift, cut = node.weight, node.bias, limits(node.activation)
    if scale is None or shift is None or cut is None or not _fits(node):
        return None
    return Affine(node, scale, shift, cut)


def response(record: design.LRN, node: Node) -> Kernel | None:
    """Return the kernel of a response normalisation of images, None where torch's is used."""
    if record.beta != 0.75 or record.size > windows.NEAR or not _fits(node):
        return None
    return Response(record, node)


def maximum(record: design.MaxPool, node: Node) -> Kernel | None:
    """Return the kernel of a max pooling of images, None where torch's is used."""
    small = max(record.kernel) <= windows.LARGEST and max(record.stride) <= windows.LARGEST
    return Maximum(record, node) if small and _fits(node) else None


def average(node: Node) -> Kernel | None:
    """Return the kernel of a pooling that leaves one pixel; None where torch's is used.

    Args:
        node: whose windows cover the image, without padding.
    """
    return Average(node) if node.shape[1:] == (1, 1) and _fits(node) else None


def flat(node: Node) -> Kernel | None:
    """Return the kernel that makes images of one pixel vectors; None where torch's is used."""
    one = len(node.shapes[0]) == 3 and node.shapes[0][1:] == (1, 1)
    return Flat(node) if one and node.native and native.available() else None


def linear(node: Node) -> Kernel | None:
    """Return the kernel of a small linear layer; None where torch's is used."""
    weight, cut = node.weight, limits(node.activation)
    if weight is None or cut is None or not node.native or not native.available():
        return None
    return Linear(node, weight, cut) if weight.numel() <= LARGE and node.residual is None else None


def _image(x: Tensor | None) -> Any:
    return None if x is None else x[:, :, None, None]


def _fits(node: Node) -> bool:
    return node.native and len(node.shape) == 3 and native.available()

"""Steps of a network that `striate.ops` has kernels of its own for, beside convolutions.

They write where they are told, slices of channels too.
"""

from __future__ import annotations

from torch import Tensor

from striate import design
from striate.engine.activation import limits
from striate.engine.kernel import Kernel
from striate.engine.node import Node
from striate.ops import native, windows


class _Writing:
    """A kernel that reads and writes slices of channels."""

    into = True
    over = False
    slices = True


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


def _fits(node: Node) -> bool:
    return node.native and len(node.shape) == 3 and native.available()

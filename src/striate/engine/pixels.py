"""Kernels of our own for what torch does slowly on images in channels-last order.

torch has no scale, shift and rectifier in one pass; it normalises responses through a padded 3-D
pooling (100 ms where 3 suffice), and its max pooling also writes where each maximum was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from striate import design
from striate.engine.kernel import Kernel
from striate.engine.node import Node
from striate.ops.threads import cut, share


class _Rows:
    """A kernel over pixels, which reads and writes slices of channels."""

    into = True
    over = False
    slices = True

    def __init__(self, node: Node) -> None:
        self.channels, *space = node.shape
        self.space = tuple(space)

    def target(self, x: Tensor, out: Tensor | None) -> Tensor:
        """Return where to write."""
        if out is not None:
            return out
        return x.new_empty((len(x), *self.space, self.channels)).permute(0, 3, 1, 2)


class Affine(_Rows):
    """A scale and shift of each channel, and a rectifier, in one pass."""

    def __init__(self, node: Node, scale: Tensor, shift: Tensor) -> None:
        super().__init__(node)
        self.scale, self.shift = scale.numpy(), shift.numpy()
        self.rectify = node.activation is not None

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Scale and shift: (batch, channels, height, width) -> the same."""
        from striate.engine import rows

        y = self.target(values[0], out)
        pixels = len(y) * self.space[0] * self.space[1]
        arrays = (*flat(values[0]), *flat(y))
        _share(rows.affine, pixels, *arrays, self.scale, self.shift, self.rectify)
        return y


class Response(_Rows):
    """Local response normalisation."""

    def __init__(self, record: design.LRN, node: Node) -> None:
        super().__init__(node)
        self.settings = (record.size, record.alpha, record.k)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Normalise: (batch, channels, height, width) -> the same."""
        from striate.engine import rows

        y = self.target(values[0], out)
        pixels = len(y) * self.space[0] * self.space[1]
        arrays = (*flat(values[0]), *flat(y))
        _share(rows.response, pixels, *arrays, self.channels, *self.settings)
        return y


class Maximum(_Rows):
    """Max pooling."""

    def __init__(self, record: design.MaxPool, node: Node) -> None:
        super().__init__(node)
        self.sizes = (*node.shapes[0][1:], *self.space)
        self.window = (
            tuple(record.kernel),
            tuple(record.stride),
            tuple(before for before, _ in record.padding),
        )

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Pool: (batch, channels, height, width) -> (batch, channels, *out_space)."""
        from striate.engine import rows

        y = self.target(values[0], out)
        _share(
            rows.maximum,
            len(y) * self.space[0],
            *flat(values[0]),
            *flat(y),
            self.channels,
            self.sizes,
            *self.window,
        )
        return y


def affine(node: Node) -> Kernel | None:
    """Return the kernel of a scale and shift of images; None where torch's is used."""
    scale, shift = node.weight, node.bias
    if scale is None or shift is None or not _fits(node):
        return None
    if node.activation is not None and not isinstance(node.activation, design.ReLU):
        return None
    return Affine(node, scale.contiguous(), shift.contiguous())


def response(record: design.LRN, node: Node) -> Kernel | None:
    """Return the kernel of a response normalisation of images, None where torch's is used."""
    return Response(record, node) if record.beta == 0.75 and _fits(node) else None


def maximum(record: design.MaxPool, node: Node) -> Kernel | None:
    """Return the kernel of a max pooling of images, None where torch's is used."""
    return Maximum(record, node) if _fits(node) else None


def flat(x: Tensor) -> tuple[Any, int]:
    """Return a value's elements as one array, and how many lie between neighbouring pixels."""
    batch, channels, height, width = x.shape
    stride = x.stride(3) if width > 1 else x.stride(2) if height > 1 else x.stride(0)
    if batch * height * width <= 1:
        stride = channels
    pixels = batch * height * width
    length = (pixels - 1) * stride + channels if pixels else 0
    return x.as_strided((length,), (1,)).numpy(), stride


def _share(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `kernel(first, last, *arguments)` on ranges that together are `range(count)`."""

    def work(first: int, last: int) -> None:
        kernel(first, last, *arguments)

    share(work, cut(count, torch.get_num_threads()))


def _fits(node: Node) -> bool:
    return node.native and len(node.shape) == 3

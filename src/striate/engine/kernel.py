"""What a node becomes: a callable over tensors that says where its result may go."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Kernel(Protocol):
    """Compute one node.

    Attributes:
        into: whether it can write its result into a tensor that it is given, with the channels
            of a place side by side, but not necessarily those of neighbouring places.
        over: whether it can write its result over its residual.
        slices: whether it reads a slice of the channels of a larger value as fast as a value of
            its own.
        any_order: whether it reads images in any order as fast as with channels innermost.
    """

    into: bool
    over: bool
    slices: bool
    any_order: bool

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Return the result: values are (batch, channels, *space), the residual last.

        Args:
            values: what it reads; images in channels-last order, or in any.
            out: where to write; for kernels that can, and over the residual.
        """
        ...


class Plain:
    """A kernel by torch's operators, which makes its own result."""

    into = False
    over = False
    slices = False
    any_order = False


def channels_last(x: Tensor) -> Tensor:
    """Return an image batch in channels-last order, also where strides alone would not say so."""
    x = x.contiguous(memory_format=torch.channels_last)
    _, channels, height, width = x.shape
    strides = (channels * height * width, 1, width * channels, channels)
    return x if x.stride() == strides else x.as_strided(x.shape, strides)

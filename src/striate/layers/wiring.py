"""Modules that move values: sums, joins, padding, shortcuts without parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.ops.padding import Padding, ends


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

    Images with channels innermost are subsampled by a pooling of single pixels, whose gradient has
    them innermost, too: that of slices has not, and rectifier and sum before it took nine times as
    long to read it. A compiler makes its own of slices.

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
        few = max(self.stride) > 1 and _channels_last(x)
        if few and not torch.compiler.is_compiling():
            x = functional.avg_pool2d(x, 1, self.stride)
        else:
            for axis, stride in enumerate(self.stride, start=2):
                index = [slice(None)] * axis + [slice(None, None, stride)]
                x = x[tuple(index)]
        return functional.pad(x, [0, 0] * len(self.stride) + [self.before, self.after])


def _channels_last(x: Tensor) -> bool:
    """Say whether images on a CPU have their channels innermost, and not as other orders do."""
    innermost = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return innermost and x.device.type == "cpu" and not x.is_contiguous()


class Pad(nn.Module):
    """Pixels around the image.

    Args:
        padding: (before, after) on each axis.
        mode: as functional.pad calls it: constant (zero), reflect or replicate.

    Input shape: (batch, channels, *space)
    Output shape: (batch, channels, *padded_space)
    """

    def __init__(self, padding: Padding, mode: str) -> None:
        super().__init__()
        self.ends, self.mode = ends(padding), mode

    def forward(self, x: Tensor) -> Tensor:
        """Pad: (batch, channels, *space) -> (batch, channels, *padded_space)."""
        return functional.pad(x, self.ends, self.mode)


class PaddedPool(nn.Module):
    """A pooling whose padding differs before and after: pads first, then pools.

    Args:
        pool: the pooling, without padding.
        padding: (before, after) on each axis.
        value: what to pad with; minus infinity never wins a maximum.
    """

    def __init__(self, pool: nn.Module, padding: Padding, value: float) -> None:
        super().__init__()
        self.pool, self.ends, self.value = pool, ends(padding), value

    def forward(self, x: Tensor) -> Tensor:
        """Pad and pool: (batch, channels, *space) -> (batch, channels, *out_space)."""
        y: Tensor = self.pool(functional.pad(x, self.ends, value=self.value))
        return y

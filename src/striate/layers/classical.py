"""Modules of the first convolutional networks: LeNet-5's and the Neocognitron's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import design
from striate.design import Shape
from striate.design.classical import Cells
from striate.ops.padding import ends

_SMALL = 1e-8  # under the square root, whose slope at nothing is infinite


class Subsample(nn.Module):
    """Sums of windows, scaled and shifted; see `design.Subsample`.

    Input shape: (batch, channels, *space)
    Output shape: (batch, channels, *out_space)
    """

    def __init__(self, pool: nn.Module, taps: int, channels: int) -> None:
        super().__init__()
        self.pool, self.taps = pool, taps
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Subsample: (batch, channels, *space) -> (batch, channels, *out_space)."""
        wide = (-1, *[1] * (x.dim() - 2))
        mean = self.pool(x)
        return torch.addcmul(self.bias.view(wide), mean, (self.taps * self.weight).view(wide))


class Rbf(nn.Module):
    """Squared distances to codes, in float32 whatever the precision of training.

    Args:
        features: codes.
        in_features: length of a code.
        fixed: whether the codes are a buffer.

    Input shape: (batch, in_features)
    Output shape: (batch, features)
    """

    weight: Tensor

    def __init__(self, features: int, in_features: int, fixed: bool) -> None:
        super().__init__()
        codes = torch.empty(features, in_features)
        if fixed:
            self.register_buffer("weight", codes)
        else:
            self.weight = nn.Parameter(codes)

    def forward(self, x: Tensor) -> Tensor:
        """Measure: (batch, in_features) -> (batch, features)."""
        apart = x.float()[:, None] - self.weight
        return (apart * apart).sum(-1)


class _Cells(nn.Module):
    """What S- and C-cells share: a window and its fixed synapses, (1, 1, *kernel)."""

    fixed: Tensor

    def __init__(self, record: Cells) -> None:
        super().__init__()
        self.record = record
        self.register_buffer("fixed", torch.empty(1, 1, *record.kernel))

    def see(self, x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        """Return the windows' weighted sums."""
        padded = functional.pad(x, ends(self.record.padding))
        return functional.conv2d(padded, weight, stride=self.record.stride, groups=groups)


class SCells(_Cells):
    """Cells that learn features; see `design.SCells`.

    Input shape: (batch, channels, height, width)
    Output shape: (batch, features, out_height, out_width)
    """

    def __init__(self, record: design.SCells, shape: Shape) -> None:
        super().__init__(record)
        self.selectivity = record.selectivity
        self.weight = nn.Parameter(torch.empty(record.features, shape[0], *record.kernel))
        self.inhibition = nn.Parameter(torch.empty(record.features))

    def forward(self, x: Tensor) -> Tensor:
        """Excite and inhibit: (batch, channels, h, w) -> (batch, features, out_h, out_w)."""
        r = self.selectivity
        excited = self.see(x, self.weight.abs())
        around = (self.see(x.square().sum(1, keepdim=True), self.fixed) + _SMALL).sqrt()
        inhibited = r / (1 + r) * self.inhibition.abs()[:, None, None] * around
        return r * functional.relu((1 + excited) / (1 + inhibited) - 1)


class CCells(_Cells):
    """Cells that let features move; see `design.CCells`.

    Input shape: (batch, channels, height, width)
    Output shape: (batch, channels, out_height, out_width)
    """

    def __init__(self, record: design.CCells) -> None:
        super().__init__(record)
        self.saturation = record.saturation

    def forward(self, x: Tensor) -> Tensor:
        """Blur and inhibit: (batch, channels, h, w) -> (batch, channels, out_h, out_w)."""
        channels = x.shape[1]
        excited = self.see(x, self.fixed.expand(channels, -1, -1, -1), groups=channels)
        over = functional.relu((1 + excited) / (1 + excited.mean(1, keepdim=True)) - 1)
        return over / (self.saturation + over)

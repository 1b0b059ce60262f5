"""Modules that work element by element and that torch.nn lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScaledTanh(nn.Module):
    """outer * tanh(inner * x)."""

    def __init__(self, outer: float, inner: float) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation, of the input's shape."""
        return self.outer * torch.tanh(self.inner * x)


class Affine(nn.Module):
    """weight[c] * x[c] + bias[c].

    Input shape: (batch, channels, ...)
    Output shape: the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift channels: (batch, channels, ...) -> (batch, channels, ...)."""
        wide = (-1, *[1] * (x.dim() - 2))
        return torch.addcmul(self.bias.view(wide), x, self.weight.view(wide))

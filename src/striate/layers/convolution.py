"""Convolutions: torch's own under our name, and those that torch's module cannot express."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import design
from striate.design import Shape
from striate.ops import conv2d
from striate.ops.padding import ends


class Conv2d(nn.Conv2d):
    """torch's convolution, with the name of the algorithm that computes it; a plan sets that.

    Attributes:
        algorithm: `default` is torch's own, called as nn.Conv2d calls it; else one of
            `ops.ALGORITHMS`.
    """

    algorithm: str = "default"

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution: (batch, channels, height, width) -> (batch, features, ...)."""
        if self.algorithm == "default":
            return super().forward(input)
        return conv2d(
            input,
            self.weight,
            self.bias,
            (self.stride[0], self.stride[1]),
            (int(self.padding[0]), int(self.padding[1])),
            (self.dilation[0], self.dilation[1]),
            self.groups,
            self.algorithm,
        )


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
        y = convolve(
            functional.pad(x, ends(record.padding)),
            self.dense(),
            self.bias if record.bias == "channel" else None,
            record.stride,
            0,
            record.dilation,
            record.groups,
        )
        return y if self.bias is None or record.bias != "position" else y + self.bias

    def dense(self) -> Tensor:
        """Return the weight with zeros where there is no connection: as torch lays it out."""
        rows = self.record.connections
        if rows is None:
            return self.weight
        filters = [index for index, row in enumerate(rows) for _ in row]
        channels = [channel for row in rows for channel in row]
        dense = self.weight.new_zeros((len(rows), self.channels, *self.record.kernel))
        where = (torch.tensor(filters), torch.tensor(channels))
        return dense.index_put(where, self.weight)

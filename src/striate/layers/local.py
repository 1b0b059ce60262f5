"""The locally connected layer, which torch.nn lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import design
from striate.design import Shape
from striate.ops.padding import ends


class Local(nn.Module):
    """A convolution whose filters are those of the place; see `design.Local`.

    Args:
        record: on paper.
        shape: of the input without batch.

    Input shape: (batch, channels, *space)
    Output shape: (batch, features, *out_space)
    """

    bias: Tensor | None

    def __init__(self, record: design.Local, shape: Shape) -> None:
        super().__init__()
        self.record = record
        parameters = {each.name: each.shape for each in record.parameters(shape)}
        self.weight = nn.Parameter(torch.empty(parameters["weight"]))
        self.bias = nn.Parameter(torch.empty(parameters["bias"])) if record.bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Filter each place: (batch, channels, *space) -> (batch, features, *out_space)."""
        record, axes = self.record, len(self.record.kernel)
        x = functional.pad(x, ends(record.padding))
        for axis, (kernel, stride) in enumerate(zip(record.kernel, record.stride, strict=True)):
            x = x.unfold(axis + 2, kernel, stride)
        places = x.shape[2 : 2 + axes]
        windows = x.flatten(2, 1 + axes).permute(2, 0, 1, *range(3, 3 + axes)).flatten(2)
        filters = self.weight.flatten(axes + 1).flatten(0, axes - 1)
        y = torch.bmm(windows, filters.transpose(1, 2))  # places, batch, features
        y = y.permute(1, 2, 0).contiguous().view(len(x), -1, *places)
        return y if self.bias is None else y + self.bias

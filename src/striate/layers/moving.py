"""Modules that cut, turn and resize values; their records count axes without batch."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from striate import design


class Reshape(nn.Module):
    """(batch, ...) -> (batch, *shape), the last `kept` sizes those of the input."""

    def __init__(self, shape: tuple[int, ...], kept: int) -> None:
        super().__init__()
        self.shape, self.kept = shape, kept

    def forward(self, x: Tensor) -> Tensor:
        """Reshape: (batch, ...) -> (batch, *shape)."""
        fixed = self.shape[: len(self.shape) - self.kept]
        return x.reshape(x.shape[0], *fixed, *x.shape[x.dim() - self.kept :])


class Permute(nn.Module):
    """Axes in another order; the batch stays in front."""

    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """Permute: (batch, ...) -> (batch, ...)."""
        return x.permute(0, *(axis + 1 for axis in self.order))


class Slice(nn.Module):
    """A part of the first axes after the batch."""

    def __init__(self, ranges: tuple[tuple[int, int | None, int], ...]) -> None:
        super().__init__()
        self.ranges = ranges

    def forward(self, x: Tensor) -> Tensor:
        """Take the part: (batch, ...) -> (batch, ...)."""
        return x[(slice(None), *(slice(*each) for each in self.ranges))]


class Resize(nn.Module):
    """Another height and width, by its record.

    Input shape: (batch, channels, *space)
    Output shape: (batch, channels, *out_space)
    """

    def __init__(self, record: design.Resize) -> None:
        super().__init__()
        self.record = record

    def forward(self, x: Tensor) -> Tensor:
        """Resize: (batch, channels, *space) -> (batch, channels, *out_space)."""
        record, axes = self.record, x.dim() - 2
        modes = {
            "nearest": "nearest",
            "linear": ("linear", "bilinear", "trilinear")[axes - 1],
            "cubic": "bicubic",
        }
        return functional.interpolate(
            x,
            size=list(record.size) or None,
            scale_factor=list(record.scale) or None,
            mode=modes[record.mode],
            align_corners=None if record.mode == "nearest" else record.corners,
        )


class Reduce(nn.Module):
    """The mean, sum or largest value along axes counted without batch."""

    def __init__(self, function: str, axes: tuple[int, ...], keep: bool) -> None:
        super().__init__()
        self.function, self.axes, self.keep = function, axes, keep

    def forward(self, x: Tensor) -> Tensor:
        """Reduce: (batch, ...) -> (batch, ...), never without an axis beside the batch."""
        axes = [axis + 1 for axis in self.axes]
        if self.function == "max":
            y = x.amax(axes, self.keep)
        else:
            y = x.mean(axes, self.keep) if self.function == "mean" else x.sum(axes, self.keep)
        return y if y.dim() > 1 else y[:, None]

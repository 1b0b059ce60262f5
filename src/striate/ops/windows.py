"""What takes each channel by itself, on images in channels-last order.

Filters of single channels (`depthwise`, an algorithm of `conv2d`), a scale and shift of each
channel (filters of one tap), the largest of a window, and responses normalised by those beside
them. torch has no scale, shift and limit in one pass, notes where each maximum was, and normalises
responses through a padded 3-D pooling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from striate.ops import direct
from striate.ops.algorithm import COMPILED, NO_DILATION, Algorithm, Limit
from striate.ops.images import (
    NO_LIMITS,
    Limits,
    constants,
    floats,
    innermost,
    readable,
    scratch,
    steps,
    target,
    vector,
)
from striate.ops.machine import registers
from striate.ops.native import Kernel
from striate.ops.problem import Padding, Pair, Problem
from striate.ops.threads import cut
from striate.ops.windows_kernel import (
    average_kernel,
    depthwise_kernel,
    maximum_kernel,
    response_kernel,
    tile,
)

LARGEST = 7  # taps along a filter; the sums of a tile and all its taps are written out
NEAR = 8  # channels that a response is normalised by, at most: half of them fit into four lanes
_PIECES = 4  # for each thread, so that one held up by other work leaves the rest to the others


@dataclass(frozen=True)
class Depthwise:
    """Filters of single channels, laid out.

    Args:
        filters: (taps, channels rounded up to whole vectors).
        channels: of image and result.
        kernel: height and width of a filter.
        stride: down and across.
        padding: (above, below), (left, right).
    """

    filters: Tensor
    channels: int
    kernel: Pair
    stride: Pair
    padding: Padding

    def __call__(
        self,
        x: Tensor,
        *,
        bias: Tensor | None = None,
        limits: Limits = NO_LIMITS,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return conv(x) + bias, cut at the limits.

        Args:
            x: (batch, channels, height, width), channels innermost (else it is copied).
            bias: (channels,).
            limits: the least and the largest result.
            out: where to write, channels innermost; may be a slice of a larger tensor's channels.
        """
        zeros, floor, ceiling = constants(self.channels, *limits)
        bias = vector(bias, self.channels)
        before = (self.filters.data_ptr(), self.filters.shape[1] * 4)
        after = (zeros if bias is None else bias.data_ptr(), floor, ceiling)
        kernel = depthwise_kernel(registers()[0], self.kernel, self.stride)
        return _run(kernel, x, self, zeros, (*before, *after), out)


def prepare(
    weight: Tensor, stride: Pair = (1, 1), padding: Padding = ((0, 0), (0, 0))
) -> Depthwise:
    """Lay filters out once, for many calls.

    Args:
        weight: (channels, 1, height, width).
        stride: down and across.
        padding: (above, below), (left, right).
    """
    weight = readable(weight, padding)
    channels, _, high, wide = weight.shape
    rows = weight.reshape(channels, -1).T
    filters = functional.pad(rows, (0, -channels % registers()[0])).contiguous()
    return Depthwise(filters, channels, (high, wide), stride, padding)


@dataclass(frozen=True)
class Maximum:
    """Max pooling.

    Args:
        channels: of image and result.
        kernel: height and width of a window.
        stride: down and across.
        padding: (above, below), (left, right); never the largest.
    """

    channels: int
    kernel: Pair
    stride: Pair
    padding: Padding

    def __call__(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return the largest of each window; see `Depthwise`."""
        beyond = _least(1 << max(self.channels - 1, 1023).bit_length()).data_ptr()
        kernel = maximum_kernel(registers()[0], self.kernel, self.stride)
        return _run(kernel, x, self, beyond, (), out)


@dataclass(frozen=True)
class Average:
    """The mean of each channel over the whole image."""

    channels: int

    def __call__(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return (batch, channels, 1, 1); see `Depthwise`."""
        out = target(x, self.channels, out, (len(x), self.channels, 1, 1))
        x, (high, wide) = innermost(x), x.shape[2:]
        lanes, threads = registers()[0], torch.get_num_threads()
        shared = [
            (*images, *channels)
            for images in cut(len(x), threads)
            for channels in cut(self.channels, 1 if len(x) >= threads else threads, lanes)
        ]
        average_kernel(lanes)(
            *(x.data_ptr(), *steps(x), high, wide, out.data_ptr(), steps(out)[0]),
            constants(1, 1 / max(high * wide, 1))[1],
            pieces=shared,
        )
        return out


@dataclass(frozen=True)
class Response:
    """Responses normalised by those of the channels beside: x / (k + alpha / size * sum)^(3/4).

    Args:
        channels: of image and result.
        size: channels that are summed.
        alpha: times the mean of squares.
        k: that is added.
    """

    channels: int
    size: int
    alpha: float
    k: float
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))

    def __call__(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Normalise (batch, channels, height, width); see `Depthwise`."""
        _, at, _ = constants(1, self.k, self.alpha / self.size)
        kernel = response_kernel(registers()[0], self.size)
        zeros = constants(self.channels)[0]
        return _run(kernel, x, self, zeros, (at, at + 4), out)


@cache
def _least(count: int) -> Tensor:
    return floats(count).fill_(-torch.inf)


def _run(
    kernel: Kernel,
    x: Tensor,
    task: Depthwise | Maximum | Response,
    beyond: int,
    more: tuple[int, ...],
    out: Tensor | None,
) -> Tensor:
    """Call a kernel on all tiles of all images."""
    (above, below), (left, right) = task.padding
    high = (x.shape[2] + above + below - task.kernel[0]) // task.stride[0] + 1
    wide = (x.shape[3] + left + right - task.kernel[1]) // task.stride[1] + 1
    out = target(x, task.channels, out, (x.shape[0], task.channels, high, wide))
    x = innermost(x)
    down, across = (
        -(-n // m) for n, m in zip((high, wide), tile(task.kernel, task.stride), strict=True)
    )
    shared = cut(len(x) * down * across, _PIECES * torch.get_num_threads())
    lanes = registers()[0]
    step = (task.channels + 4 * lanes) * 4 // 64 * 64 + 64
    room = scratch.take("windows", (torch.get_num_threads() + 1) * step // 4)
    kernel(
        *(x.data_ptr(), *steps(x), x.shape[2], x.shape[3], above, left, task.channels, beyond),
        *(out.data_ptr(), *steps(out), high, wide, room, down, across, *more),
        pieces=shared,
        room=room + step,
        step=step,
    )
    return out


# -- as an algorithm -------------------------------------------------------------------------------


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution."""
    return prepare(weight, task.stride, task.padding)(x)


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image: the convolution with the filters turned round."""
    back = [
        (reach - 1 - before, reach - 1 - after)
        for reach, (before, after) in zip(task.reach, task.padding, strict=True)
    ]
    if task.stride != (1, 1) or min(map(min, back)) < 0:
        return direct.by_input(gradient, weight, task)
    return prepare(weight.flip(2, 3), (1, 1), (back[0], back[1]))(gradient)


def _workspace(task: Problem) -> int:
    lanes = registers()[0]
    wide = -(-task.channels // lanes) * lanes
    return 4 * wide * math.prod(task.kernel) + (torch.get_num_threads() + 1) * (4 * wide + 320)


DEPTHWISE = Algorithm(
    name="depthwise",
    forward=forward,
    by_input=by_input,
    by_weight=direct.by_weight,
    limits=(
        *COMPILED,
        NO_DILATION,
        Limit(
            "as many groups as channels and features",
            "groups channels features",
            lambda task: task.groups == task.channels == task.features,
        ),
        Limit(
            f"filters and strides of at most {LARGEST} pixels",
            "kernel stride",
            lambda task: max(*task.kernel, *task.stride) <= LARGEST,
        ),
    ),
    workspace_bytes=_workspace,
    relative_error=lambda task: 1e-6,
    channels_last=True,
)

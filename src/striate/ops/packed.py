"""The direct convolution by kernels of our own, its filters packed for the registers beforehand.

It multiplies as often as the definition says, near the machine's peak, as oneDNN does; what it adds
is where the result goes: bias, residual and limits are applied where the sums are in registers, and
the result is written where it shall be, also as a slice of a larger value's channels. The gradient
by the image at stride one is the same with the filters turned round, that by 1x1 filters
`striate.ops.outer`; the others are torch's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from striate.errors import UsageError
from striate.ops import direct, outer
from striate.ops.algorithm import COMPILED, ONE_GROUP, Algorithm
from striate.ops.frame import framed
from striate.ops.images import (
    NO_LIMITS,
    Limits,
    beside,
    constants,
    floats,
    innermost,
    line,
    pieces,
    readable,
    scratch,
    steps,
    target,
    vector,
)
from striate.ops.machine import l2_bytes, registers
from striate.ops.packed_kernel import ROWS, kernel
from striate.ops.problem import Padding, Pair, Problem

_FEW = 8  # channels; of so few, a filter's whole row is one run of memory in a padded image


@dataclass(frozen=True)
class Means:
    """What 1x1 filters may read: means over windows of what is scaled, shifted and cut.

    Of each block it is computed once, into memory that stays in the second cache.

    Args:
        scale: of each channel, (channels,).
        shift: of each channel.
        limits: the least and the largest of what the mean is taken of.
        window: height and width; windows lie side by side.
    """

    scale: Tensor
    shift: Tensor
    limits: Limits = NO_LIMITS
    window: Pair = (1, 1)

    @cached_property
    def numbers(self) -> Tensor:
        """The limits, and the share of a pixel."""
        three = [*self.limits, 1 / math.prod(self.window)]
        return torch.tensor(three, dtype=torch.float32, device="cpu")


@dataclass(frozen=True)
class Prepared:
    """A convolution whose filters are packed already.

    Args:
        filters: the panels.
        channels: of the input.
        features: of the output.
        kernel: height and width of a filter.
        stride: down and across.
        padding: (above, below), (left, right).
        dilation: down and across.
        means: what is read instead of pixels; kernel and stride are then its window.
    """

    filters: Tensor
    channels: int
    features: int
    kernel: Pair
    stride: Pair
    padding: Padding
    dilation: Pair
    means: Means | None = None

    @property
    def in_rows(self) -> bool:
        """Whether rows of filters are multiplied at once, of images copied into a frame."""
        few = self.channels <= _FEW and self.dilation[1] == 1 and self.kernel[1] > 1
        return few and self.means is None

    def __call__(
        self,
        x: Tensor,
        *,
        bias: Tensor | None = None,
        residual: Tensor | None = None,
        limits: Limits = NO_LIMITS,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return conv(x) + bias + residual, cut at the limits.

        Args:
            x: (batch, channels, height, width), channels innermost (else it is copied), or in any
                order where filters are read in rows.
            bias: (features,).
            residual: like the result, channels innermost; may be `out` itself.
            limits: the least and the largest result.
            out: where to write, channels innermost; may be a slice of a larger tensor's channels.
        """
        task = Problem(
            batch=len(x),
            channels=x.shape[1],
            features=self.features,
            size=(x.shape[2], x.shape[3]),
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        out = target(x, self.channels, out, task.output)
        taps, depth, padding = self.kernel, self.channels, self.padding
        if self.in_rows:
            x, padding = framed(x, task), ((0, 0), (0, 0))
            taps, depth = (taps[0], 1), taps[1] * depth
        else:
            x = innermost(x)
        residual, bias = beside(residual, out), vector(bias, self.features)
        zeros, floor, ceiling = constants(max(depth, self.features), *limits)
        lanes, vectors = registers()
        summed = depth * (1 if self.means else math.prod(taps))
        filters = line(self.filters, _filter_floats(summed, self.features, lanes))
        count, panels = task.batch * math.prod(task.out_size), -(-self.features // lanes // vectors)
        block = _block(summed, count)
        shared = pieces(count, panels, block, ROWS)
        step = (taps[0] * taps[1] + 2) * block * 8 + -(-self.features // 16) * 64 + 64
        before: tuple[int, ...] = ()
        if self.means is not None:
            value = _value_bytes(depth)
            step += block * value
            numbers = self.means.numbers.data_ptr()
            scale, shift = self.means.scale.data_ptr(), self.means.shift.data_ptr()
            before = (value, scale, shift, numbers, numbers + 4, numbers + 8)
        room = scratch.take("room", min(torch.get_num_threads(), len(shared)) * step // 4)
        kernel(lanes, vectors, self.means is not None)(
            *before,
            *(x.data_ptr(), *steps(x), x.shape[2], x.shape[3], padding[0][0], padding[1][0]),
            *(*self.stride, *self.dilation, *taps, zeros),
            *((zeros, 0, 0, 0) if residual is None else (residual.data_ptr(), *steps(residual))),
            *(out.data_ptr(), *steps(out), *task.out_size, depth, filters),
            *(self.features, zeros if bias is None else bias.data_ptr(), floor, ceiling, block),
            pieces=shared,
            room=room,
            step=step,
        )
        return out


def prepare(
    weight: Tensor,
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    means: Means | None = None,
) -> Prepared:
    """Pack filters once, for many calls.

    Args:
        weight: (features, channels, height, width).
        stride: down and across.
        padding: (above, below), (left, right).
        dilation: down and across.
        means: what 1x1 filters of stride 1 without padding read instead of pixels.

    Raises:
        UsageError: other filters are to read means.
    """
    weight = readable(weight, padding)
    features, channels, high, wide = weight.shape
    lanes, vectors = registers()
    rows = weight.permute(2, 3, 1, 0).reshape(-1, features)
    more = -features % lanes
    rows = torch.nn.functional.pad(rows, (0, more)) if more else rows
    panels = [panel.flatten() for panel in torch.split(rows, lanes * vectors, 1)]
    memory = floats(rows.numel() + 16)
    begun = (line(memory, rows.numel()) - memory.data_ptr()) // 4
    torch.cat(panels, out=memory[begun : begun + rows.numel()])
    if means is None:
        return Prepared(memory, channels, features, (high, wide), stride, padding, dilation)
    if (high, wide) != (1, 1) or stride != (1, 1) or padding != ((0, 0), (0, 0)):
        raise UsageError(
            f"Expected 1x1 filters of stride 1 without padding to read means, received "
            f"kernel={(high, wide)}, stride={stride}, padding={padding}: pool before."
        )
    scale, shift = (vector(each, channels) for each in (means.scale, means.shift))
    if scale is not None and shift is not None:
        means = replace(means, scale=scale, shift=shift)
    window = means.window
    return Prepared(memory, channels, features, window, window, padding, dilation, means)


def _block(depth: int, count: int) -> int:
    """Return pixels at a time, so that what they read takes about a quarter of the second cache."""
    fit = l2_bytes() // 4 // (4 * depth) // ROWS * ROWS
    return max(ROWS, min(max(fit, 4 * ROWS), 16 * ROWS, -(-count // ROWS) * ROWS))


def _filter_floats(depth: int, features: int, lanes: int) -> int:
    """Return the size of the panels."""
    return depth * (-(-features // lanes) * lanes)


def _value_bytes(depth: int) -> int:
    """Return the bytes of a mean: whole lines, and no power of two, which caches hold few of."""
    return -(-depth // 16) * 64 + 64


def means_bytes(task: Problem) -> int:
    """Return the bytes that all threads keep means in, of a problem of 1x1 filters."""
    block = _block(task.channels, task.batch * math.prod(task.out_size))
    return torch.get_num_threads() * block * _value_bytes(task.channels)


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution."""
    return prepare(weight, task.stride, task.padding, task.dilation)(x)


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image."""
    back = [
        (reach - 1 - before, reach - 1 - after)
        for reach, (before, after) in zip(task.reach, task.padding, strict=True)
    ]
    if task.stride != (1, 1) or min(map(min, back)) < 0:
        return direct.by_input(gradient, weight, task)
    turned = weight.flip(2, 3).transpose(0, 1)
    return prepare(turned, (1, 1), (back[0], back[1]), task.dilation)(gradient)


def _workspace(task: Problem) -> int:
    taps = math.prod(task.kernel)
    filters = _filter_floats(taps * task.channels, task.features, registers()[0])
    count = task.batch * math.prod(task.out_size)
    table = (taps + 2) * _block(taps * task.channels, count) * 8 * torch.get_num_threads()
    return 4 * filters + table


PACKED = Algorithm(
    name="packed",
    forward=forward,
    by_input=by_input,
    by_weight=outer.by_weight,
    limits=(*COMPILED, ONE_GROUP),
    workspace_bytes=_workspace,
    relative_error=lambda task: 2e-6,  # a sum is taken in one order, not in parts
    channels_last=True,
)

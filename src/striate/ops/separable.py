"""A convolution in two: filters of single channels, then filters of one pixel, computed as one.

Of MobileNet (Howard et al. 2017) and its kin. What lies between the two never leaves the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from striate.ops import packed, windows
from striate.ops.images import (
    NO_LIMITS,
    Limits,
    beside,
    constants,
    innermost,
    line,
    scratch,
    steps,
    target,
    vector,
)
from striate.ops.machine import l2_bytes, registers
from striate.ops.packed_kernel import ROWS
from striate.ops.problem import Padding, Pair
from striate.ops.separable_kernel import kernel, room_bytes
from striate.ops.threads import cut


@dataclass(frozen=True)
class Separable:
    """Both filters, laid out.

    Args:
        single: filters of single channels.
        mixing: filters of one pixel.
        between: bias of the first, (channels,); None for none.
        cut: the least and the largest value between the two.
    """

    single: windows.Depthwise
    mixing: packed.Prepared
    between: Tensor | None
    cut: Limits

    def __call__(
        self,
        x: Tensor,
        *,
        bias: Tensor | None = None,
        residual: Tensor | None = None,
        limits: Limits = NO_LIMITS,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return both convolutions + bias + residual, cut at the limits.

        Args:
            x: (batch, channels, height, width), channels innermost (else it is copied).
            bias: (features,).
            residual: like the result, channels innermost; may be `out` itself.
            limits: the least and the largest result.
            out: where to write, channels innermost; may be a slice of a larger tensor's channels.
        """
        first, features = self.single, self.mixing.features
        (above, below), (left, right) = first.padding
        high = (x.shape[2] + above + below - first.kernel[0]) // first.stride[0] + 1
        wide = (x.shape[3] + left + right - first.kernel[1]) // first.stride[1] + 1
        out = target(x, first.channels, out, (x.shape[0], features, high, wide))
        x = innermost(x)
        residual, bias = beside(residual, out), vector(bias, features)
        count = max(first.channels, features)
        zeros, floor, ceiling = constants(count, *limits)
        _, low, top = constants(count, *self.cut)
        lanes, vectors = registers()
        threads = torch.get_num_threads()
        block = rows_at_a_time(len(x), (high, wide), first.channels, threads)
        bands = -(-high // block)
        shared = _pieces(len(x) * bands, -(-features // lanes // vectors), threads)
        step = room_bytes(block, wide, first.channels, features)
        room = scratch.take("separable", min(threads, len(shared)) * step // 4)
        kernel(lanes, vectors, first.kernel, first.stride)(
            *(x.data_ptr(), *steps(x), x.shape[2], x.shape[3], above, left),
            *(first.channels, zeros),
            *((zeros, 0, 0, 0) if residual is None else (residual.data_ptr(), *steps(residual))),
            *(out.data_ptr(), *steps(out), high, wide),
            *(first.filters.data_ptr(), first.filters.shape[1] * 4),
            *(zeros if self.between is None else self.between.data_ptr(), low, top),
            *(line(self.mixing.filters, first.channels * features), features),
            *(zeros if bias is None else bias.data_ptr(), floor, ceiling, block, bands),
            pieces=shared,
            room=room,
            step=step,
        )
        return out


def prepare(
    single: Tensor,
    mixing: Tensor,
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    *,
    between: Tensor | None = None,
    cut: Limits = NO_LIMITS,
) -> Separable:
    """Lay filters out once, for many calls.

    Args:
        single: (channels, 1, height, width).
        mixing: (features, channels, 1, 1).
        stride: of the first, down and across.
        padding: of the first: (above, below), (left, right).
        between: bias of the first, (channels,).
        cut: the least and the largest value between the two.
    """
    bias = vector(between, len(single))
    return Separable(windows.prepare(single, stride, padding), packed.prepare(mixing), bias, cut)


def rows_at_a_time(batch: int, size: Pair, channels: int, threads: int) -> int:
    """Return rows of the result that are computed at a time: a quarter of the second cache.

    An even number, since filters of single channels are computed by two rows; fewer where that
    leaves a thread without work.
    """
    high, wide = size
    fit = max(l2_bytes() // 4 // (4 * channels * wide), -(-2 * ROWS // wide), 1)
    fit = min(fit, high)
    if batch * -(-high // fit) < 2 * threads and wide * high >= 4 * threads * ROWS:
        fit = min(fit, max(1, -(-high * batch // (2 * threads))))
    return fit + fit % 2 if 1 < fit < high else fit


def _pieces(bands: int, panels: int, threads: int) -> list[tuple[int, ...]]:
    """Return ranges of bands and of panels: where bands are few, each thread takes some panels."""
    if bands < threads and panels >= threads:
        return [(0, bands, *each) for each in cut(panels, threads)]
    return [(*each, 0, panels) for each in cut(bands, 4 * threads)]

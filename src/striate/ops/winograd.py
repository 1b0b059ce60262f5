"""Winograd's fast convolution: 3x3 filters at 2.25, 4 or 5 times fewer multiplications.

    Y = A^T [(G g G^T) * (B^T d B)] A        d: a tile of n x n pixels, Y: m x m pixels

`winograd_2x2`, `winograd_4x4` and `winograd_6x6` compute m = 2, 4, 6 pixels a side at once;
rounding errors grow with m, and are nearly all made where products are summed over channels, which
is why these are summed in parts. The gradient by the image is the same algorithm with the filters
turned round; the gradient by the filters is its transpose, F(r, m), with the same products. Filters
of 5 taps, and of one row or one column, go by the same matrices along each axis.

What is not finite in an image spreads over the tiles that it lies in (m pixels a side, overlapping
by r - 1), never to another image. Results do not depend on the rest of the batch nor on the number
of threads.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from striate.ops.algorithm import COMPILED, NO_DILATION, NO_STRIDE, ONE_GROUP, Algorithm, Limit
from striate.ops.images import (
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
from striate.ops.points import POINTS
from striate.ops.problem import Padding, Pair, Problem
from striate.ops.tape import Tapes
from striate.ops.threads import cut
from striate.ops.tiles import Form
from striate.ops.turning import turn
from striate.ops.winograd_kernel import ROWS, kernels, pooled_kernel

ERRORS = {1: 1e-6, 4: 1e-6, 6: 2e-6, 8: 5e-6}
"""Bounds on the relative RMS error by n, the side of a tile; see `Algorithm`."""


# -- what a machine and a filter ask for -----------------------------------------------------------


def form(outputs: int, kernel: Pair) -> Form:
    """Return F(outputs, kernel) for this machine's vectors."""
    lanes, vectors = registers()
    down, across = (outputs if taps > 1 else 1 for taps in kernel)
    return Form((down, across), kernel, lanes, vectors)


def limits(outputs: int) -> tuple[Limit, ...]:
    """Return what F(outputs, kernel) asks of a problem."""
    taps = [length - outputs + 1 for length in POINTS if length > outputs]
    several = " or ".join(map(str, taps))
    return (
        *COMPILED,
        NO_STRIDE,
        NO_DILATION,
        ONE_GROUP,
        Limit(
            f"filters of {several} taps along each axis, or one along one of them",
            "kernel",
            lambda task: max(task.kernel) > 1 and all(n in (1, *taps) for n in task.kernel),
        ),
    )


# -- the convolution -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Blocks:
    """How many tiles are computed at a time, and where they lie between the steps.

    Args:
        form: the algorithm.
        tiles: of a block, a multiple of ROWS.
        channels: of the input.
    """

    form: Form
    tiles: int
    channels: int

    @property
    def v_tile(self) -> int:
        """Bytes from tile to tile in V."""
        return -(-self.channels // self.form.lanes) * self.form.lanes * 4

    @property
    def v_point(self) -> int:
        """Bytes from point to point in V; a line more, so that points do not share cache sets."""
        return self.tiles * self.v_tile + 64

    @property
    def m_point(self) -> int:
        """Bytes from point to point in M."""
        return self.tiles * self.form.width * 4 + 64

    @property
    def bytes(self) -> int:
        """Memory of one thread: V, M, and a place to write what nobody reads."""
        return self.form.points * (self.v_point + self.m_point) + self.form.width * 4


def blocks(one: Form, channels: int, features: int, tiles: int) -> Blocks:
    """Return blocks whose V and M take about half of a core's second cache.

    Filters that do not fit there are read anew for every block, which is why there are no blocks
    of fewer than 48 tiles then.
    """
    a_tile = one.points * 4 * (channels + one.width)
    fit = l2_bytes() // 2 // a_tile // ROWS * ROWS
    least = 24 if one.points * 4 * channels * features < l2_bytes() else 48
    most = -(-tiles // ROWS) * ROWS
    return Blocks(one, max(ROWS, min(max(fit, least), 96, most)), channels)


@dataclass(frozen=True)
class Prepared:
    """A convolution whose filters are transformed already.

    Args:
        form: the algorithm.
        filters: the panels of U.
        channels: of the input.
        features: of the output.
        padding: (above, below), (left, right).
        pooled: whether the result is the largest of every 2 x 2 pixels.
    """

    form: Form
    filters: Tensor
    channels: int
    features: int
    padding: Padding
    pooled: bool = False

    def __call__(
        self,
        x: Tensor,
        *,
        bias: Tensor | None = None,
        residual: Tensor | None = None,
        relu: bool = False,
        out: Tensor | None = None,
    ) -> Tensor:
        """Return relu(conv(x) + bias + residual); without residual where it is pooled.

        Args:
            x: (batch, channels, height, width), channels innermost (else it is copied).
            bias: (features,).
            residual: like the result, channels innermost; may be `out` itself.
            relu: whether what is below zero becomes zero.
            out: where to write, channels innermost; may be a slice of a larger tensor's channels.
        """
        x = innermost(x)
        (above, below), (left, right) = self.padding
        high = x.shape[2] + above + below - self.form.taps[0] + 1
        wide = x.shape[3] + left + right - self.form.taps[1] + 1
        if self.pooled:
            high, wide = high // 2, wide // 2
        shape = (x.shape[0], self.features, high, wide)
        out = target(x, self.channels, out, shape)
        _convolve(self, x, vector(bias, self.features), beside(residual, out), relu, out)
        return out


def prepare(
    weight: Tensor,
    outputs: int = 4,
    padding: Padding = ((0, 0), (0, 0)),
    *,
    pooled: bool = False,
) -> Prepared:
    """Transform filters once, for many calls.

    Args:
        weight: (features, channels, height, width).
        outputs: m: 2, 4 or 6.
        padding: (above, below), (left, right).
        pooled: whether the result is the largest of every 2 x 2 pixels (of filters that are at
            least two taps high and wide).
    """
    weight = readable(weight, padding)
    features, channels, high, wide = weight.shape
    one = form(outputs, (high, wide))
    filters = floats(_filter_floats(one, channels, features) + 16)
    taps = weight.permute(2, 3, 1, 0)
    return replace(_transformed(one, taps, padding, filters), pooled=pooled)


def _filter_floats(one: Form, channels: int, features: int) -> int:
    """Return the size of U."""
    return one.points * channels * (-(-features // one.lanes) * one.lanes)


def _at_once(one: Form, taps: Tensor, padding: Padding, *, turned: bool = False) -> Prepared:
    """Transform filters for a single call, in memory that the next call takes again."""
    filters = scratch.keep("filters", _filter_floats(one, taps.shape[2], taps.shape[3]))
    return _transformed(one, taps, padding, filters, turned=turned)


def _transformed(
    one: Form, taps: Tensor, padding: Padding, filters: Tensor, *, turned: bool = False
) -> Prepared:
    """Write filters (taps, taps, channels, features), turned round or not, as panels of U."""
    high, wide, channels, features = taps.shape
    if features > 1 and taps.stride(3) != 1:
        kept, taps = taps, scratch.tensor("turned", *taps.shape)
        if kept.stride(2) == 1:
            turn(kept.transpose(2, 3), taps)
        else:
            taps.copy_(kept)
    down, across, inward = (4 * step for step in taps.stride()[:3])
    address = taps.data_ptr()
    if turned:
        address += (high - 1) * down + (wide - 1) * across
        down, across = -down, -across
    panels = cut(-(-features // one.width), torch.get_num_threads())
    begun = line(filters, _filter_floats(one, channels, features))
    arguments = address, down, across, inward, channels, features, begun
    kernels(one)["filters"](*arguments, pieces=panels)
    return Prepared(one, filters, channels, features, padding)


def _convolve(
    task: Prepared, x: Tensor, bias: Tensor | None, residual: Tensor | None, relu: bool, out: Tensor
) -> None:
    one, features = task.form, task.features
    step = 2 if task.pooled else 1
    down, across = (-(-n * step // m) for n, m in zip(out.shape[2:], one.outputs, strict=True))
    tiles, panels = x.shape[0] * down * across, -(-features // one.width)
    least = 0.0 if relu else -torch.inf
    zeros, floor, _ = constants(max(task.channels, features), least)
    filters = line(task.filters, _filter_floats(one, task.channels, features))
    place = blocks(one, task.channels, features, tiles)
    shared = pieces(tiles, panels, place.tiles, ROWS)
    room = scratch.take("room", min(torch.get_num_threads(), len(shared)) * place.bytes // 4)
    kernel = pooled_kernel(one) if task.pooled else kernels(one)["forward"]
    kernel(
        *(x.data_ptr(), *steps(x), x.shape[2], x.shape[3], task.padding[0][0], task.padding[1][0]),
        *(task.channels, filters, features),
        *(zeros if bias is None else bias.data_ptr(), floor, zeros),
        *((zeros, 0, 0, 0) if residual is None else (residual.data_ptr(), *steps(residual))),
        *(out.data_ptr(), *steps(out), out.shape[2], out.shape[3], down, across),
        *(place.v_tile, place.v_point, one.width * 4, place.m_point, place.tiles),
        pieces=shared,
        room=room,
        step=place.bytes,
    )


# -- the three faces -------------------------------------------------------------------------------


def forward(outputs: int, x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution."""
    one = form(outputs, task.kernel)
    return _applied(one, x, weight.permute(2, 3, 1, 0), task.padding, task.output)


def by_input(outputs: int, gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image: the convolution with the filters turned round."""
    (above, below), (left, right) = task.padding
    (high, wide), one = task.kernel, form(outputs, task.kernel)
    padding = ((high - 1 - above, high - 1 - below), (wide - 1 - left, wide - 1 - right))
    shape = (task.batch, task.channels, *task.size)
    return _applied(one, gradient, weight.permute(2, 3, 0, 1), padding, shape, turned=True)


def _applied(
    one: Form,
    x: Tensor,
    taps: Tensor,
    padding: Padding,
    shape: tuple[int, ...],
    *,
    turned: bool = False,
) -> Tensor:
    """Transform filters, turned round or not, and convolve x with them."""
    x = innermost(x)
    out = floats(*shape, order=torch.channels_last)

    def run() -> object:
        return _at_once(one, taps, padding, turned=turned)(x, out=out)

    if 1 in (taps.stride(2), taps.stride(3)):
        key = (one, x.shape, x.stride(), taps.shape, taps.stride(), padding, turned)
        _tapes.play(key, run, x, taps, out)
    else:
        run()
    return out


_tapes = Tapes()


def by_weight(outputs: int, x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters: V^T Z summed over all tiles, transformed back."""
    x, gradient = innermost(x), innermost(gradient)
    out = floats(task.features, task.channels, *task.kernel, order=torch.channels_last)
    key = ("by_weight", outputs, task, x.stride(), gradient.stride())
    _tapes.play(key, lambda: _correlate(outputs, x, gradient, task, out), x, gradient, out)
    return out


def _correlate(outputs: int, x: Tensor, gradient: Tensor, task: Problem, out: Tensor) -> None:
    one = form(outputs, task.kernel)
    high, wide = task.out_size
    down, across = -(-high // one.outputs[0]), -(-wide // one.outputs[1])
    tiles = task.batch * down * across
    run, zeros = kernels(one), constants(max(task.channels, task.features))[0]
    count = min(_summed_at_a_time(one, task), tiles)
    v, z = Blocks(one, count, task.channels), Blocks(one, count, task.features)
    at_v = scratch.take("v", one.points * v.v_point // 4 + 64)
    at_z = scratch.take("z", one.points * z.v_point // 4 + 64)
    u_row = z.v_tile
    u_point = -(-task.channels // ROWS) * ROWS * u_row + 64
    at_u = scratch.take("u", one.points * u_point // 4)
    weight = scratch.tensor("turned", *task.kernel, task.channels, task.features)
    threads = torch.get_num_threads()
    before = (
        *(x.data_ptr(), *steps(x), *task.size, task.padding[0][0], task.padding[1][0]),
        *(task.channels, gradient.data_ptr(), *steps(gradient), high, wide, task.features),
        *(zeros, down, across),
    )
    places = (at_v, v.v_tile, v.v_point, at_z, z.v_tile, z.v_point)
    sums = (task.channels, task.features, at_u, u_row, u_point)
    for begin in range(0, tiles, count):
        here = min(count, tiles - begin)
        run["expand"](*before, begin, *places, pieces=cut(here, threads))
        run["correlate"](*places, here, *sums, int(begin == 0), pieces=cut(one.points, threads))
    arguments = (at_u, u_row, u_point, task.channels, task.features, weight.data_ptr())
    run["restore"](*arguments, pieces=cut(task.channels, threads))
    turn(weight, out.permute(2, 3, 0, 1))


def _summed_at_a_time(one: Form, task: Problem) -> int:
    """Return tiles whose transforms take about 8 MB, some hundred in any case."""
    a_tile = one.points * 4 * (task.channels + task.features)
    return max(96, min((8 << 20) // a_tile, 1024))


def _workspace(outputs: int, task: Problem) -> int:
    one = form(outputs, task.kernel)
    high, wide = task.out_size
    tiles = task.batch * -(-high // one.outputs[0]) * -(-wide // one.outputs[1])
    filters = 4 * _filter_floats(one, task.channels, task.features)
    place = blocks(one, task.channels, task.features, tiles)
    return filters + torch.get_num_threads() * place.bytes


def _relative_error(outputs: int, task: Problem) -> float:
    return max(ERRORS.get(side, math.inf) for side in form(outputs, task.kernel).sides)


WINOGRAD = tuple(
    Algorithm(
        name=f"winograd_{m}x{m}",
        forward=partial(forward, m),
        by_input=partial(by_input, m),
        by_weight=partial(by_weight, m),
        limits=limits(m),
        workspace_bytes=partial(_workspace, m),
        relative_error=partial(_relative_error, m),
        channels_last=True,
    )
    for m in (2, 4, 6)
)

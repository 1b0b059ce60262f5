"""The gradient by 1x1 filters: outer products of two pixels' values, summed over all pixels.

It is one product of matrices, of which the side that is summed over is by far the longest: as many
pixels as a batch has. Of a block of pixels the channels of one panel are copied together, to stay
in the first cache while all features pass by; torch's own takes up to twice as long where maps are
large and channels few. Where filters skip pixels, those that they fall on are copied together
first; forward and by the image torch computes on these. Other problems are torch's altogether.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor

from striate.ops import direct
from striate.ops.algorithm import COMPILED, Algorithm
from striate.ops.assembly import Function, Variable
from striate.ops.im2col import plain, seen, unseen
from striate.ops.images import as_it_lies, floats, scratch
from striate.ops.machine import registers
from striate.ops.native import Kernel, compile_functions
from striate.ops.problem import Problem
from striate.ops.threads import cut

_FEATURES = 4  # that are multiplied at a time
_PIXELS = 128  # of a block


def fits(task: Problem) -> bool:
    """Say whether a problem is one of 1x1 filters over channels that fill vectors."""
    return plain(task) and task.channels % registers()[0] == 0


def forward(x: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the convolution, by torch."""
    if not fits(task):
        return direct.forward(x, weight, task)
    return direct.forward(_dense(x, task), weight, _narrowed(task))


def by_input(gradient: Tensor, weight: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the image, by torch."""
    if not fits(task):
        return direct.by_input(gradient, weight, task)
    return unseen(direct.by_input(gradient, weight, _narrowed(task)), task)


def by_weight(x: Tensor, gradient: Tensor, task: Problem) -> Tensor:
    """Return the gradient by the filters."""
    if not fits(task):
        return direct.by_weight(x, gradient, task)
    lanes, vectors = registers()
    x, gradient = _dense(x, task), gradient.contiguous(memory_format=torch.channels_last)
    x, gradient = as_it_lies(x), as_it_lies(gradient)
    weight = floats(task.features, task.channels, 1, 1, order=torch.channels_last)
    panels, threads = -(-task.channels // (lanes * vectors)), torch.get_num_threads()
    by_panel = cut(panels, threads)
    by_feature = cut(task.features, -(-threads // len(by_panel)), _FEATURES)
    step = _PIXELS * lanes * vectors * 4
    _kernel(lanes, vectors)(
        *(x.data_ptr(), gradient.data_ptr(), weight.data_ptr()),
        *(task.batch * math.prod(task.out_size), task.channels, task.features),
        pieces=[(*one, *other) for one, other in product(by_panel, by_feature)],
        room=scratch.take("panel", threads * step // 4),
        step=step,
    )
    return weight


def _narrowed(task: Problem) -> Problem:
    """Return the problem of the pixels that filters fall on alone."""
    return task if task.stride == (1, 1) else task.replace(size=task.out_size, stride=(1, 1))


def _dense(x: Tensor, task: Problem) -> Tensor:
    """Return those pixels with their channels side by side."""
    return seen(x, task).contiguous(memory_format=torch.channels_last)


def _workspace(task: Problem) -> int:
    lanes, vectors = registers()
    copied = 0 if task.stride == (1, 1) else task.batch * task.channels * math.prod(task.out_size)
    return 4 * (copied + torch.get_num_threads() * _PIXELS * lanes * vectors)


def multiply(lanes: int, features: int, vectors: int) -> Function:
    """Add the outer products of some pixels to a few rows of the result."""
    code = Function(
        f"multiply_{features}_{vectors}", "g g_step panel out out_step pixels fresh", lanes
    )
    cells = list(product(range(features), range(vectors)))
    place = {(row, v): code.out + code.out_step * row + v * lanes * 4 for row, v in cells}
    sums: dict[tuple[int, int], Variable] = {cell: code.variable() for cell in cells}
    for cell in cells:
        sums[cell].set(code.constant(0.0))
    with code.loop(code.pixels) as pixel:
        line = code.panel + pixel * (vectors * lanes * 4)
        right = [code.load(line + each * lanes * 4) for each in range(vectors)]
        begun = code.g + pixel * code.g_step
        for row in range(features):
            left = code.spread(begun + 4 * row)
            for each in range(vectors):
                total = sums[row, each]
                total.set(left.times_plus(right[each], total.get()))
    with code.when(code.fresh.below(1)):
        for cell in cells:
            sums[cell].set(sums[cell].get() + code.load(place[cell]))
    for cell in cells:
        code.store(sums[cell].get(), place[cell])
    return code


def outer(lanes: int, vectors: int) -> list[Function]:
    """Sum over all pixels, for some panels of channels and some features."""
    code = Function(
        "outer",
        "x g out pixels channels features room",
        lanes,
        pieces="first_panel last_panel first last",
    )
    products = {
        (rows, each): multiply(lanes, rows, each)
        for rows, each in product((_FEATURES, 1), range(1, vectors + 1))
    }
    width, x_step, g_step = lanes * vectors, code.channels * 4, code.features * 4
    whole = code.last - (code.last - code.first) % _FEATURES
    with (
        code.loop(code.pixels, _PIXELS) as begun,
        code.loop(code.last_panel, 1, code.first_panel) as panel,
    ):
        count = (code.pixels - begun).least(_PIXELS)
        here = (code.channels - panel * width).least(width) // lanes
        source = code.x + begun * x_step + panel * (width * 4)
        g, out = code.g + begun * g_step, code.out + panel * (width * 4)
        for each in range(1, vectors + 1):
            with code.when((here - each).within(1)):
                with code.loop(count) as pixel:
                    into = code.room + pixel * (each * lanes * 4)
                    for vector in range(each):
                        offset = vector * lanes * 4
                        code.store(code.load(source + pixel * x_step + offset), into + offset)
                for rows, start, stop in (
                    (_FEATURES, code.first, whole),
                    (1, whole, code.last),
                ):
                    with code.loop(stop, rows, start) as feature:
                        into = out + feature * x_step
                        told = (g + feature * 4, g_step, code.room, into, x_step, count)
                        code.call(products[rows, each], *told, code.word(1) - begun)
    return [*products.values(), code]


@lru_cache
def _kernel(lanes: int, vectors: int) -> Kernel:
    return compile_functions("sums of outer products", outer(lanes, vectors))["outer"]


OUTER = Algorithm(
    name="outer",
    forward=forward,
    by_input=by_input,
    by_weight=by_weight,
    limits=COMPILED,
    workspace_bytes=_workspace,
    relative_error=lambda task: 1e-6,
    channels_last=True,
)

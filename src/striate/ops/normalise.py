"""Batch normalisation in training, with the sum and the rectifier that often come after it.

    y = max((x - mean) / sqrt(var + eps) * weight + bias + residual, 0)

torch reads and writes memory four times for that and seven times for its gradient; here twice and
three times: sums of x and of its squares around a number near it, then all the rest in a second
pass; backward the sums of the gradient, then the gradient by x. What the rectifier let through is
computed again rather than read. Without rectifier or residual the arithmetic is the same, to the
last bit, and it does not depend on the number of threads.

Source: Ioffe and Szegedy, ICML 2015, algorithm 1 and section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from striate.ops.algorithm import plain
from striate.ops.images import constants, floats, scratch
from striate.ops.machine import registers
from striate.ops.native import available
from striate.ops.normalise_kernel import kernels
from striate.ops.tape import Tapes
from striate.ops.threads import cut

_PIECES, _SHORTEST, _LONGEST = 64, 16, 1024  # rows that are summed at a time: their number, length


def possible(x: Tensor, weight: Tensor) -> bool:
    """Say whether these kernels are for such values: images of float32, channels innermost.

    They are not where anybody but autograd looks on.
    """
    return (
        x.dim() == 4
        and x.dtype == torch.float32
        and x.is_cpu
        and x.numel() > x.shape[1]
        and x.is_contiguous(memory_format=torch.channels_last)
        and weight.dtype == torch.float32
        and not x.is_neg()
        and plain(x, weight)
        and available()
    )


def normalise(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: tuple[Tensor, Tensor],
    *,
    momentum: float,
    eps: float,
    residual: Tensor | None = None,
    rectified: bool = False,
) -> Tensor:
    """Return the normalised values; running estimates move towards the batch's.

    Args:
        x: (batch, channels, height, width) as `possible` has it.
        weight: (channels,).
        bias: (channels,).
        running: mean and variance, (channels,) each; they are changed.
        momentum: share of the batch's in the new estimates.
        eps: added to the variance.
        residual: added to the normalised values, of x's shape.
        rectified: whether what is below zero becomes zero; with a residual it has to.
    """
    run: Callable[..., Tensor] = _Normalise.apply
    return run(x, weight, bias, residual, running, momentum, eps, rectified)


class _Rows(NamedTuple):
    """Values as rows: several pixels side by side where their channels are few.

    Args:
        width: floats in a row.
        height: rows.
        length: rows of a piece.
        pieces: numbers of the pieces.
    """

    width: int
    height: int
    length: int
    pieces: tuple[tuple[int], ...]


@lru_cache(maxsize=1024)
def _rows(pixels: int, channels: int, lanes: int) -> _Rows:
    together = 1
    while channels * together < 4 * lanes and pixels % (2 * together) == 0:
        together *= 2
    count = pixels // together
    length = max(-(-count // _PIECES), _SHORTEST)
    length = min(length, _LONGEST)
    pieces = tuple((number,) for number in range(-(-count // length)))
    return _Rows(channels * together, count, length, pieces)


@lru_cache(maxsize=1024)
def _numbers(pixels: int, eps: float, momentum: float) -> Tensor:
    numbers = floats(4)
    for place, number in enumerate((1 / pixels, eps, momentum, pixels / (pixels - 1))):
        numbers[place] = number
    return numbers


def _forward(
    told: tuple[Tensor, ...], residual: Tensor | None, momentum: float, eps: float, rectified: bool
) -> Tensor:
    """Make both passes over memory: x, known, weight, bias, mean, variance, y."""
    x, known, weight, bias, mean, variance, y = (each.data_ptr() for each in told)
    (batch, channels, high, wide), lanes = told[0].shape, registers()[0]
    pixels = batch * high * wide
    run, rows, numbers = (
        kernels(lanes),
        _rows(pixels, channels, lanes),
        _numbers(pixels, eps, momentum),
    )
    sums = scratch.take("sums", 2 * len(rows.pieces) * rows.width)
    place = (rows.width, rows.height, rows.length)
    counts = (rows.width, len(rows.pieces), channels, numbers.data_ptr())
    run["moments"](x, known, *place, sums, pieces=rows.pieces)
    run["statistics"](
        *(sums, *counts, weight, bias, mean, variance, known),
        pieces=cut(channels, torch.get_num_threads(), lanes),
    )
    _, floor, _ = constants(1, 0.0 if rectified else -torch.inf)
    run["normalised" if residual is None else "normalised_result"](
        *(x, known, floor, 0 if residual is None else residual.data_ptr(), *place, y),
        pieces=rows.pieces[::-1],  # what was read last is still in the cache
    )
    return numbers


def _backward(told: tuple[Tensor, ...], gate: str) -> Tensor:
    """Make both: x, known, gradient, by_x, used, by_weight, by_bias, and of a sum y, through."""
    x, known, gradient, by_x, used, by_weight, by_bias, *sum_ = (each.data_ptr() for each in told)
    y, through = sum_ or (0, gradient)
    (batch, channels, high, wide), lanes = told[0].shape, registers()[0]
    pixels = batch * high * wide
    run, rows, numbers = kernels(lanes), _rows(pixels, channels, lanes), _numbers(pixels, 0.0, 0.0)
    sums = scratch.take("sums", 2 * len(rows.pieces) * rows.width)
    place = (rows.width, rows.height, rows.length)
    run[f"gradients{gate}"](gradient, x, known, y, through, *place, sums, pieces=rows.pieces)
    run["factors"](
        *(sums, known, numbers.data_ptr(), rows.width, len(rows.pieces), channels),
        *(used, by_weight, by_bias),
        pieces=cut(channels, torch.get_num_threads(), lanes),
    )
    run["returned_value" if gate == "_value" else "returned"](
        through, x, known, used, *place, by_x, pieces=rows.pieces[::-1]
    )
    return numbers


_tapes = Tapes()


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        running: tuple[Tensor, Tensor],
        momentum: float,
        eps: float,
        rectified: bool,
    ) -> Tensor:
        batch, channels, high, wide = x.shape
        known = floats(4, _rows(batch * high * wide, channels, registers()[0]).width)
        known[0].view(-1, channels).copy_(x[:, :, high // 2, wide // 2].mean(0))
        y = torch.empty_like(x)
        told = (x, known, weight, bias, *running, y)
        added = []
        if residual is not None:
            residual = residual.contiguous(memory_format=torch.channels_last)
            added.append(residual)
        _tapes.play(
            ("forward", x.shape, momentum, eps, rectified, len(added)),
            lambda: _forward(told, residual, momentum, eps, rectified),
            *(*told, *added),
        )
        summed = residual is not None
        ctx.save_for_backward(x, weight, bias, known, residual, y if summed else None)
        ctx.rectified, ctx.eps = rectified, eps
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, known, residual, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of this gradient is wanted
            return _differentiable(gradient, x, weight, bias, residual, ctx)
        channels = x.shape[1]
        gate = "_result" if y is not None else "_value" if ctx.rectified else ""
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        by_x, used = torch.empty_like(x), floats(2, known.shape[1])
        by_weight, by_bias = floats(channels), floats(channels)
        told: tuple[Tensor, ...] = (x, known, gradient, by_x, used, by_weight, by_bias)
        through = None
        if y is not None:
            through = torch.empty_like(x)
            told = (*told, y, through)
        _tapes.play(("backward", x.shape, gate), lambda: _backward(told, gate), *told)
        return by_x, by_weight, by_bias, through, *[None] * 4


def _differentiable(
    gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, ctx: Any
) -> tuple[Tensor | None, ...]:
    """Return the gradients by operators of torch, which have gradients of their own."""
    y = functional.batch_norm(x, None, None, weight, bias, True, 0.0, ctx.eps)
    y = y if residual is None else y + residual
    y = y.relu() if ctx.rectified else y
    inputs = {
        place: each for place, each in enumerate((x, weight, bias, residual)) if each is not None
    }
    asked = {place: each for place, each in inputs.items() if ctx.needs_input_grad[place]}
    found = torch.autograd.grad(y, list(asked.values()), gradient, create_graph=True)
    given = dict(zip(asked, found, strict=True))
    return (*(given.get(place) for place in range(4)), *[None] * 4)

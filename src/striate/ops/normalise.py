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

import threading
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
from striate.ops.tape import Tape
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


# Addresses that are others at every call, as a tape is told them: forward, and backward.
_X, _KNOWN, _WEIGHT, _BIAS, _MEAN, _VARIANCE, _RESIDUAL, _Y = _FORWARD = range(-8, 0)
_GRADIENT, _THROUGH, _USED, _BY_WEIGHT, _BY_BIAS, _BY_X = range(-14, -8)
_BACKWARD = (_X, _KNOWN, _Y, _GRADIENT, _THROUGH, _USED, _BY_WEIGHT, _BY_BIAS, _BY_X)


class _Tapes(threading.local):
    """A thread's tapes, by what they are for: a training asks for the same in every step."""

    def __init__(self) -> None:
        self.forward = lru_cache(maxsize=1024)(_forward)
        self.backward = lru_cache(maxsize=1024)(_backward)


def _numbers(pixels: int, eps: float, momentum: float) -> Tensor:
    numbers = floats(4)
    numbers.copy_(torch.tensor([1 / pixels, eps, momentum, pixels / (pixels - 1)]))
    return numbers


def _forward(
    pixels: int, channels: int, eps: float, momentum: float, residual: bool, rectified: bool
) -> Tape:
    """Return both passes over memory; they are told _FORWARD."""
    lanes = registers()[0]
    run, rows, numbers = (
        kernels(lanes),
        _rows(pixels, channels, lanes),
        _numbers(pixels, eps, momentum),
    )
    sums = scratch.take("sums", 2 * len(rows.pieces) * rows.width)
    place = (rows.width, rows.height, rows.length)
    counts = (rows.width, len(rows.pieces), channels, numbers.data_ptr())
    _, floor, _ = constants(1, 0.0 if rectified else -torch.inf)
    calls = [
        run["moments"].call(_X, _KNOWN, *place, sums, pieces=rows.pieces),
        run["statistics"].call(
            *(sums, *counts, _WEIGHT, _BIAS, _MEAN, _VARIANCE, _KNOWN),
            pieces=cut(channels, torch.get_num_threads(), lanes),
        ),
        run["normalised_result" if residual else "normalised"].call(
            *(_X, _KNOWN, floor, _RESIDUAL, *place, _Y),
            pieces=rows.pieces[::-1],  # what was read last is still in the cache
        ),
    ]
    return Tape(calls, numbers, _FORWARD)


def _backward(pixels: int, channels: int, gate: str) -> Tape:
    """Return both passes over memory; they are told _BACKWARD."""
    lanes = registers()[0]
    run, rows, numbers = kernels(lanes), _rows(pixels, channels, lanes), _numbers(pixels, 0.0, 0.0)
    sums = scratch.take("sums", 2 * len(rows.pieces) * rows.width)
    place = (rows.width, rows.height, rows.length)
    counts = (numbers.data_ptr(), rows.width, len(rows.pieces), channels)
    calls = [
        run[f"gradients{gate}"].call(
            *(_GRADIENT, _X, _KNOWN, _Y, _THROUGH, *place, sums), pieces=rows.pieces
        ),
        run["factors"].call(
            *(sums, _KNOWN, *counts, _USED, _BY_WEIGHT, _BY_BIAS),
            pieces=cut(channels, torch.get_num_threads(), lanes),
        ),
        run["returned_value" if gate == "_value" else "returned"].call(
            *(_THROUGH, _X, _KNOWN, _USED, *place, _BY_X), pieces=rows.pieces[::-1]
        ),
    ]
    return Tape(calls, numbers, _BACKWARD)


_tapes = _Tapes()


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
        pixels, summed = batch * high * wide, residual is not None
        known = floats(4, _rows(pixels, channels, registers()[0]).width)
        known[0].view(-1, channels).copy_(x[:, :, high // 2, wide // 2].mean(0))
        y = torch.empty_like(x)
        if residual is not None:
            residual = residual.contiguous(memory_format=torch.channels_last)
        _tapes.forward(pixels, channels, eps, momentum, summed, rectified)(
            *(each.data_ptr() for each in (x, known, weight, bias, *running)),
            0 if residual is None else residual.data_ptr(),
            y.data_ptr(),
        )
        ctx.save_for_backward(x, weight, bias, known, residual, y if summed else None)
        ctx.rectified, ctx.eps = rectified, eps
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, known, residual, y = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient of this gradient is wanted
            return _differentiable(gradient, x, weight, bias, residual, ctx)
        batch, channels, high, wide = x.shape
        gate = "_result" if y is not None else "_value" if ctx.rectified else ""
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        through = gradient if y is None else torch.empty_like(x)
        used, by_x = floats(2, known.shape[1]), torch.empty_like(x)
        by_weight, by_bias = floats(channels), floats(channels)
        told = (x, known, x if y is None else y, gradient, through, used, by_weight, by_bias, by_x)
        _tapes.backward(batch * high * wide, channels, gate)(*(each.data_ptr() for each in told))
        return by_x, by_weight, by_bias, None if y is None else through, *[None] * 4


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

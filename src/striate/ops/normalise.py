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

from striate.errors import UsageError
from striate.ops.algorithm import plain
from striate.ops.images import as_it_lies, constants, floats, scratch
from striate.ops.machine import registers
from striate.ops.native import available
from striate.ops.normalise_kernel import kernels
from striate.ops.tape import Tapes
from striate.ops.threads import cut

_SAMPLE = 64  # pixels, at least, whose mean all others are summed around
_PIECES, _SHORTEST, _LONGEST = 64, 16, 1024  # rows that are summed at a time: their number, length


def possible(x: Tensor, *vectors: Tensor | None) -> bool:
    """Say whether these kernels are for such values: images of float32, channels innermost.

    They are not where anybody but autograd looks on.

    Args:
        x: the images.
        vectors: one number a channel each: weight, bias, running estimates.
    """
    return (
        x.dim() == 4
        and x.dtype == torch.float32
        and x.numel() > x.shape[1]
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_neg()
        and all(each is not None and _side_by_side(each, x.shape[1]) for each in vectors)
        and all(plain(x, each) for each in vectors if each is not None)
        and x.is_cpu
        and available()
    )


def addable(residual: Tensor, x: Tensor) -> bool:
    """Say whether the kernels can add something to x's normalised values."""
    alike = residual.shape == x.shape and residual.dtype == x.dtype
    return alike and residual.is_cpu and type(residual) is Tensor


def _side_by_side(x: Tensor, count: int) -> bool:
    """Say whether a tensor is so many float32 numbers of a CPU's memory."""
    kind = x.dtype == torch.float32 and x.is_cpu and not x.is_neg()
    return kind and x.shape == (count,) and x.is_contiguous()


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
        x: (batch, channels, height, width), with the next four as `possible` has them.
        weight: (channels,).
        bias: (channels,).
        running: mean and variance, (channels,) each; they are changed.
        momentum: share of the batch's in the new estimates.
        eps: added to the variance.
        residual: added to the normalised values, as `addable` has it.
        rectified: whether what is below zero becomes zero; with a residual it has to.

    Raises:
        UsageError: a residual that is not like x.
    """
    if residual is not None and not addable(residual, x):
        raise UsageError(
            f"Expected a residual of {tuple(x.shape)}, {x.dtype} on {x.device}, received "
            f"{tuple(residual.shape)} of {residual.dtype} on {residual.device}: add it afterwards."
        )
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
        known[0].view(-1, channels).copy_(_near(x))
        y = torch.empty_like(x)
        told = (x, known, weight, bias, *running, y)
        added = []
        if residual is not None:
            residual = _laid(residual)
            added.append(residual)
        _tapes.play(
            ("forward", x.shape, momentum, eps, rectified, len(added)),
            lambda: _forward(told, residual, momentum, eps, rectified),
            *(*told, *added),
        )
        ctx.save_for_backward(x, weight, known, y if added else None)
        ctx.rectified, ctx.eps = rectified, eps
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, known, y = ctx.saved_tensors
        if torch.is_grad_enabled() or not plain(gradient, x):  # or many gradients at a time
            return _differentiable(gradient, x, weight, known, y, ctx)
        channels = x.shape[1]
        gate = "_result" if y is not None else "_value" if ctx.rectified else ""
        x, gradient, known = _laid(x), _laid(gradient), known.contiguous()
        by_x, used = torch.empty_like(x), floats(2, known.shape[1])
        by_weight, by_bias = floats(channels), floats(channels)
        told: tuple[Tensor, ...] = (x, known, gradient, by_x, used, by_weight, by_bias)
        through = None
        if y is not None:
            through = torch.empty_like(x)
            told = (*told, _laid(y), through)
        _tapes.play(("backward", x.shape, gate), lambda: _backward(told, gate), *told)
        return by_x, by_weight, by_bias, through, *[None] * 4


def _laid(x: Tensor) -> Tensor:
    """Return images as kernels read them; what was kept for the way back may lie otherwise."""
    return as_it_lies(x).contiguous(memory_format=torch.channels_last)


def _near(x: Tensor) -> Tensor:
    """Return a number for each channel that its values lie around: the mean of some pixels.

    A single pixel may be far from all others, and squares of large numbers lose what is small.
    """
    pixels = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return pixels[:: len(pixels) // _SAMPLE | 1].mean(0)


def _differentiable(
    gradient: Tensor, x: Tensor, weight: Tensor, known: Tensor, y: Tensor | None, ctx: Any
) -> tuple[Tensor | None, ...]:
    """Return the gradients by operators of torch, which have gradients of their own."""
    channels, axes = x.shape[1], (0, 2, 3)
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    inverse = (variance + ctx.eps).rsqrt()
    normal = (x - mean) * inverse
    slope = weight[:, None, None]
    if ctx.rectified:
        bias = known[2, :channels][:, None, None]
        result = y if y is not None else (normal * slope + bias)
        gradient = torch.where(result.detach() <= 0, 0.0, gradient)
    product = gradient * normal
    inner = gradient - gradient.mean(axes, keepdim=True) - normal * product.mean(axes, keepdim=True)
    by_x = inner * inverse * slope
    through = None if y is None else gradient
    return by_x, product.sum(axes), gradient.sum(axes), through, *[None] * 4

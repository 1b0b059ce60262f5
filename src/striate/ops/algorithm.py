"""A convolution algorithm: three raw functions, and what is needed to make torch operators of them.

A convolution is bilinear in image and filter, so it has three faces, each the derivative of the
others: the convolution itself, the gradient by the image, the gradient by the filter. An algorithm
gives the three as plain functions of two tensors and a `Problem`; here they become custom operators
with shape functions and derivatives once and for all: under autograd (twice, too), torch.compile
and torch.export.

    y = conv(x, w)      dx = by_input(dy, w)      dw = by_weight(x, dy)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.errors import UsageError
from striate.ops.problem import Problem, problem, shaped

Face = Callable[[Tensor, Tensor, Problem], Tensor]
_TAIL = "int[] stride, int[] padding, int[] dilation, int groups) -> Tensor"


@dataclass(frozen=True)
class Algorithm:
    """One way to convolve.

    Args:
        name: as `conv2d` takes it.
        forward: (batch, channels, height, width), (features, channels / groups, *kernel), problem
            -> (batch, features, out_height, out_width).
        by_input: gradient of the output, weight, problem -> gradient of the input.
        by_weight: input, gradient of the output, problem -> gradient of the weight.
        supports: whether it can compute a problem.
        workspace_bytes: memory it takes beside input, filters and output.
        relative_error: a bound on its relative RMS error in float32, for independent inputs, up to
            512 channels and 10 pixels a side or more (an average over fewer may be larger).
        deterministic: whether equal inputs give equal bits.
        channels_last: whether its images and filters lie with the channels innermost.
    """

    name: str
    forward: Face
    by_input: Face
    by_weight: Face
    supports: Callable[[Problem], bool]
    workspace_bytes: Callable[[Problem], int]
    relative_error: Callable[[Problem], float]
    deterministic: bool = True
    channels_last: bool = False


def operator(algorithm: Algorithm) -> Any:
    """Register an algorithm's three operators; returns the first.

    Its arguments: x, weight, bias or None, stride (2), padding (4: above, below, left, right),
    dilation (2), groups.
    """
    forward, by_input, by_weight = _forward(algorithm), _by_input(algorithm), _by_weight(algorithm)

    def forward_gradient(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, weight = ctx.saved_tensors
        needs, tail = ctx.needs_input_grad, ctx.tail
        return (
            by_input(gradient, weight, x.shape[2:], *tail) if needs[0] else None,
            by_weight(x, gradient, weight.shape[2:], *tail) if needs[1] else None,
            gradient.sum((0, 2, 3)) if needs[2] else None,
            *[None] * 4,
        )

    def by_input_gradient(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        before, weight = ctx.saved_tensors
        needs, tail = ctx.needs_input_grad, ctx.tail
        return (
            forward(gradient, weight, None, *tail) if needs[0] else None,
            by_weight(gradient, before, weight.shape[2:], *tail) if needs[1] else None,
            *[None] * 5,
        )

    def by_weight_gradient(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, before = ctx.saved_tensors
        needs, tail = ctx.needs_input_grad, ctx.tail
        return (
            by_input(before, gradient, x.shape[2:], *tail) if needs[0] else None,
            forward(x, gradient, None, *tail) if needs[1] else None,
            *[None] * 5,
        )

    forward.register_autograd(forward_gradient, setup_context=_keep)
    by_input.register_autograd(by_input_gradient, setup_context=_keep)
    by_weight.register_autograd(by_weight_gradient, setup_context=_keep)
    return forward


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Remember the two tensors, and the numbers they all end with."""
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.tail = inputs[3:]


def _forward(algorithm: Algorithm) -> Any:
    def fake(x: Tensor, weight: Tensor, bias: Tensor | None, *tail: Any) -> Tensor:
        return _empty(x, _checked(algorithm, problem(x, weight, *tail)).output, algorithm)

    def real(x: Tensor, weight: Tensor, bias: Tensor | None, *tail: Any) -> Tensor:
        task = _checked(algorithm, problem(x, weight, *tail))
        if not _products(task):
            y = _empty(x, task.output, algorithm).zero_()
        else:
            y = algorithm.forward(x.detach(), weight.detach(), task)
        if bias is not None:
            y = y + bias[:, None, None]
        return _laid(y, algorithm)

    head = "(Tensor x, Tensor weight, Tensor? bias, "
    return _custom(f"conv2d_{algorithm.name}", head, real, fake)


def _by_input(algorithm: Algorithm) -> Any:
    def task(gradient: Tensor, weight: Tensor, size: Sequence[int], tail: Any) -> Problem:
        image = (gradient.shape[0], weight.shape[1] * tail[3], *size)
        return shaped(image, tuple(weight.shape), gradient, *tail[:3], groups=tail[3])

    def shape(one: Problem) -> tuple[int, ...]:
        return one.batch, one.channels, *one.size

    def fake(gradient: Tensor, weight: Tensor, size: Sequence[int], *tail: Any) -> Tensor:
        return _empty(gradient, shape(task(gradient, weight, size, tail)), algorithm)

    def real(gradient: Tensor, weight: Tensor, size: Sequence[int], *tail: Any) -> Tensor:
        one = task(gradient, weight, size, tail)
        if not _products(one):
            return _empty(gradient, shape(one), algorithm).zero_()
        return _laid(algorithm.by_input(gradient.detach(), weight.detach(), one), algorithm)

    head = "(Tensor gradient, Tensor weight, SymInt[] size, "
    return _custom(f"conv2d_{algorithm.name}_by_input", head, real, fake)


def _by_weight(algorithm: Algorithm) -> Any:
    def task(x: Tensor, gradient: Tensor, kernel: Sequence[int], tail: Any) -> Problem:
        filters = (gradient.shape[1], x.shape[1] // tail[3], *kernel)
        return shaped(tuple(x.shape), filters, x, *tail[:3], groups=tail[3])

    def shape(one: Problem) -> tuple[int, ...]:
        return one.features, one.channels // one.groups, *one.kernel

    def fake(x: Tensor, gradient: Tensor, kernel: Sequence[int], *tail: Any) -> Tensor:
        return _empty(x, shape(task(x, gradient, kernel, tail)), algorithm)

    def real(x: Tensor, gradient: Tensor, kernel: Sequence[int], *tail: Any) -> Tensor:
        one = task(x, gradient, kernel, tail)
        if not _products(one):
            return _empty(x, shape(one), algorithm).zero_()
        return _laid(algorithm.by_weight(x.detach(), gradient.detach(), one), algorithm)

    head = "(Tensor x, Tensor gradient, SymInt[] kernel, "
    return _custom(f"conv2d_{algorithm.name}_by_weight", head, real, fake)


def _custom(name: str, head: str, real: Callable[..., Tensor], fake: Callable[..., Tensor]) -> Any:
    made = torch.library.custom_op(f"striate::{name}", real, mutates_args=(), schema=head + _TAIL)
    made.register_fake(fake)
    return made


def _checked(algorithm: Algorithm, task: Problem) -> Problem:
    if algorithm.supports(task):
        return task
    raise UsageError(f"Expected a problem that {algorithm.name} is for, received {task}.")


def _products(task: Problem) -> int:
    """Return 0 where nothing is to be multiplied: no image, no channel or no feature."""
    return task.batch * task.channels * task.features


def _empty(like: Tensor, shape: Sequence[int], algorithm: Algorithm) -> Tensor:
    return like.new_empty(shape).to(memory_format=_layout(algorithm))


def _laid(y: Tensor, algorithm: Algorithm) -> Tensor:
    return y.contiguous(memory_format=_layout(algorithm))


def _layout(algorithm: Algorithm) -> torch.memory_format:
    return torch.channels_last if algorithm.channels_last else torch.contiguous_format

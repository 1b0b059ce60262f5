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
from torch import Tensor, nn
from torch._C import _functorch as functorch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from striate.errors import UsageError
from striate.ops.native import available
from striate.ops.problem import Problem, alike, problem, shaped

Face = Callable[[Tensor, Tensor, Problem], Tensor]
_Any = Callable[..., Tensor]
_TAIL = "int[] stride, int[] padding, int[] dilation, int groups) -> Tensor"


@dataclass(frozen=True)
class Limit:
    """Something that an algorithm asks of a problem.

    Args:
        what: is expected, in words.
        fields: of the problem that it is about, by name.
        holds: whether a problem has it.
    """

    what: str
    fields: str
    holds: Callable[[Problem], bool]


COMPILED = (
    Limit(
        "float32 numbers on a CPU",
        "dtype device",
        lambda task: (task.dtype, task.device) == ("float32", "cpu"),
    ),
    Limit("a system that llvmlite compiles for", "device", lambda task: available()),
)
"""What kernels of our own ask for."""

NO_STRIDE = Limit("stride=(1, 1)", "stride", lambda task: task.stride == (1, 1))
NO_DILATION = Limit("dilation=(1, 1)", "dilation", lambda task: task.dilation == (1, 1))
ONE_GROUP = Limit("groups=1", "groups", lambda task: task.groups == 1)


def numbers(*dtypes: str) -> Limit:
    """Return a limit to some dtypes."""
    return Limit(" or ".join(dtypes), "dtype", lambda task: task.dtype in dtypes)


@dataclass(frozen=True)
class Algorithm:
    """One way to convolve.

    Args:
        name: as `conv2d` takes it.
        forward: (batch, channels, height, width), (features, channels / groups, *kernel), problem
            -> (batch, features, out_height, out_width).
        by_input: gradient of the output, weight, problem -> gradient of the input.
        by_weight: input, gradient of the output, problem -> gradient of the weight.
        limits: what it asks of a problem.
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
    limits: tuple[Limit, ...]
    workspace_bytes: Callable[[Problem], int]
    relative_error: Callable[[Problem], float]
    deterministic: bool = True
    channels_last: bool = False

    def supports(self, task: Problem) -> bool:
        """Say whether it can compute a problem."""
        return all(each.holds(task) for each in self.limits)

    def check(self, task: Problem) -> None:
        """Refuse what it cannot compute.

        Raises:
            UsageError: names the limit that the problem is beyond.
        """
        for each in self.limits:
            if not each.holds(task):
                received = (f"{name}={getattr(task, name)}" for name in each.fields.split())
                raise UsageError(
                    f"Expected {each.what} for algorithm={self.name!r}, "
                    f"received {', '.join(received)}: algorithm='direct' computes any."
                )


def operator(algorithm: Algorithm) -> Callable[..., Tensor]:
    """Register an algorithm's three operators; returns the first, or what is faster and the same.

    Its arguments: x, weight, bias or None, stride (2), padding (4: above, below, left, right),
    dilation (2), groups.
    """
    (forward, plain_forward), (by_input, plain_by_input), (by_weight, plain_by_weight) = (
        make(algorithm) for make in (_forward, _by_input, _by_weight)
    )

    def forward_gradient(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, weight = ctx.saved_tensors
        needs, tail = ctx.needs_input_grad, ctx.tail
        back, across = by_input, by_weight
        if plain(gradient, weight) and not torch.is_grad_enabled():  # no gradient of this is wanted
            back, across = plain_by_input, plain_by_weight
        return (
            back(gradient, weight, x.shape[2:], *tail) if needs[0] else None,
            across(x, gradient, weight.shape[2:], *tail) if needs[1] else None,
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

    class Convolution(torch.autograd.Function):
        """The same for plain tensors: a custom operator's way through torch takes 0.1 ms more."""

        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Tensor:
            y = plain_forward(*inputs)
            _keep(ctx, inputs, y)
            return y

        backward = staticmethod(forward_gradient)

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *tail: Any) -> Tensor:
        run = Convolution.apply if plain(x, weight) else forward
        y: Tensor = run(x, weight, bias, *tail)
        return y

    return convolve


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Remember the two tensors, and the numbers they all end with."""
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.tail = inputs[3:]


def _forward(algorithm: Algorithm) -> tuple[Any, _Any]:
    def fake(x: Tensor, weight: Tensor, bias: Tensor | None, *tail: Any) -> Tensor:
        one = problem(x, weight, bias, *tail)
        algorithm.check(one)
        return _empty(x, one.output, algorithm)

    def real(x: Tensor, weight: Tensor, bias: Tensor | None, *tail: Any) -> Tensor:
        one = problem(x, weight, bias, *tail)
        algorithm.check(one)
        if not _products(one):
            y = _empty(x, one.output, algorithm).zero_()
        else:
            y = algorithm.forward(x.detach(), weight.detach(), one)
        if bias is not None:
            y.add_(bias[:, None, None])
        return _laid(y, algorithm)

    head = "(Tensor x, Tensor weight, Tensor? bias, "
    return _custom(f"conv2d_{algorithm.name}", head, real, fake)


def _by_input(algorithm: Algorithm) -> tuple[Any, _Any]:
    def task(gradient: Tensor, weight: Tensor, size: Sequence[int], tail: Any) -> Problem:
        alike("gradient", gradient, weight=weight)
        channels = [count * tail[3] for count in weight.shape[1:2]]
        image = (*gradient.shape[:1], *channels, *size)
        one = shaped(image, tuple(weight.shape), gradient, *tail[:3], groups=tail[3])
        return _checked(algorithm, one, gradient)

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


def _by_weight(algorithm: Algorithm) -> tuple[Any, _Any]:
    def task(x: Tensor, gradient: Tensor, kernel: Sequence[int], tail: Any) -> Problem:
        alike("x", x, gradient=gradient)
        channels = [count // max(tail[3], 1) for count in x.shape[1:2]]
        filters = (*gradient.shape[1:2], *channels, *kernel)
        one = shaped(tuple(x.shape), filters, x, *tail[:3], groups=tail[3])
        return _checked(algorithm, one, gradient)

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


def _custom(name: str, head: str, real: _Any, fake: _Any) -> tuple[Any, _Any]:
    """Return a custom operator, and what it computes with."""
    made = torch.library.custom_op(f"striate::{name}", real, mutates_args=(), schema=head + _TAIL)
    made.register_fake(fake)
    return made, real


def plain(x: Tensor, weight: Tensor) -> bool:
    """Say whether nobody but autograd looks on: no compiler, no tracer, no other kind of tensor."""
    return (
        type(x) is Tensor
        and type(weight) in (Tensor, nn.Parameter)
        and not torch.compiler.is_compiling()
        and _get_current_dispatch_mode() is None
        and not functorch.get_interpreter_stack()
        and torch._C._len_torch_function_stack() == 0
        and not torch._C._is_tracing()
        and not torch.is_autocast_enabled("cpu")
        and forward_ad._current_level < 0
        and not functorch.is_legacy_batchedtensor(x)
    )


def _checked(algorithm: Algorithm, task: Problem, gradient: Tensor) -> Problem:
    """Return a problem that an algorithm is for, and its output's gradient fits."""
    algorithm.check(task)
    if tuple(gradient.shape) == task.output:
        return task
    raise UsageError(
        f"Expected the gradient of a result of {task.output}, received "
        f"gradient={tuple(gradient.shape)}: it has the shape of what the convolution gave."
    )


def _products(task: Problem) -> int:
    """Return 0 where nothing is to be multiplied: no image, no channel or no feature."""
    return task.batch * task.channels * task.features


def _empty(like: Tensor, shape: Sequence[int], algorithm: Algorithm) -> Tensor:
    return like.new_empty(shape).to(memory_format=_layout(algorithm))


def _laid(y: Tensor, algorithm: Algorithm) -> Tensor:
    return y.contiguous(memory_format=_layout(algorithm))


def _layout(algorithm: Algorithm) -> torch.memory_format:
    return torch.channels_last if algorithm.channels_last else torch.contiguous_format

"""Activations as epilogues: what oneDNN calls them, and in place where it does not know them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import singledispatch
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from striate import design


class PostOp(NamedTuple):
    """How oneDNN's post-operation is named in torch."""

    name: str
    scalars: tuple[float, ...] = ()
    algorithm: str = ""


@singledispatch
def post_op(record: design.Layer | None) -> PostOp | None:
    """Return oneDNN's post-operation for an activation; None where it has none."""
    return PostOp("none") if record is None else None


@post_op.register
def _(record: design.ReLU) -> PostOp | None:
    return PostOp("relu")


@post_op.register
def _(record: design.ReLU6) -> PostOp | None:
    return PostOp("hardtanh", (0.0, 6.0))


@post_op.register
def _(record: design.LeakyReLU) -> PostOp | None:
    return PostOp("leaky_relu", (record.slope,))


@post_op.register
def _(record: design.Sigmoid) -> PostOp | None:
    return PostOp("sigmoid")


@post_op.register
def _(record: design.SiLU) -> PostOp | None:
    return PostOp("swish")


@post_op.register
def _(record: design.GELU) -> PostOp | None:
    return PostOp("gelu", (), "none")


@post_op.register
def _(record: design.Tanh) -> PostOp | None:
    return PostOp("tanh") if (record.outer, record.inner) == (1.0, 1.0) else None


def limits(record: design.Layer | None) -> tuple[float, float] | None:
    """Return what an activation cuts values at, where it does nothing else; None elsewhere."""
    least = 0.0 if isinstance(record, design.ReLU | design.ReLU6) else -math.inf
    most = 6.0 if isinstance(record, design.ReLU6) else math.inf
    return (least, most) if isinstance(record, design.ReLU | design.ReLU6 | None) else None


@singledispatch
def in_place(record: design.Layer | None) -> Callable[[Tensor], Tensor]:
    """Return the function that applies an activation to a tensor that nobody else has."""
    if record is None:
        return lambda x: x
    raise TypeError(f"{type(record).__name__} is no epilogue")


@in_place.register
def _(record: design.ReLU) -> Callable[[Tensor], Tensor]:
    return torch.relu_


@in_place.register
def _(record: design.ReLU6) -> Callable[[Tensor], Tensor]:
    return lambda x: x.clamp_(0.0, 6.0)


@in_place.register
def _(record: design.LeakyReLU) -> Callable[[Tensor], Tensor]:
    return lambda x: functional.leaky_relu_(x, record.slope)


@in_place.register
def _(record: design.Sigmoid) -> Callable[[Tensor], Tensor]:
    return torch.sigmoid_


@in_place.register
def _(record: design.SiLU) -> Callable[[Tensor], Tensor]:
    return lambda x: functional.silu(x, inplace=True)


@in_place.register
def _(record: design.GELU) -> Callable[[Tensor], Tensor]:
    return lambda x: x.copy_(functional.gelu(x))


@in_place.register
def _(record: design.Tanh) -> Callable[[Tensor], Tensor]:
    return lambda x: x.mul_(record.inner).tanh_().mul_(record.outer)

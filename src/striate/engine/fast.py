"""The one place where the engine talks to the convolutions of `striate.ops`."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from striate import design
from striate.engine.activation import in_place
from striate.engine.kernel import Kernel
from striate.engine.node import Node
from striate.ops import ALGORITHMS, Problem, conv2d, winograd

Direction = Literal["inference", "training"]

_WINOGRAD = {f"winograd_{outputs}x{outputs}": outputs for outputs in (2, 4, 6)}
_LEAST_CHANNELS = 8  # fewer, as in the first layer, leave the products too small to gain by


def algorithms(record: design.Layer, node: Node, direction: Direction) -> tuple[str, ...]:
    """Return the names of what may compute a node instead of torch's own."""
    if not isinstance(record, design.Conv) or len(record.kernel) != 2 or not node.native:
        return ()
    if min(node.shapes[0][0], node.shape[0]) < _LEAST_CHANNELS:
        return ()
    task = problem(record, node, 1)
    return tuple(name for name in _WINOGRAD if ALGORITHMS[name].supports(task))


def kernel(record: design.Conv, node: Node, batch: int, algorithm: str) -> Kernel | None:
    """Return a fast convolution by its name; None for torch's own."""
    if algorithm not in _WINOGRAD or algorithm not in algorithms(record, node, "inference"):
        return None
    return Winograd(record, node, _WINOGRAD[algorithm])


def workspace(record: design.Conv, node: Node, batch: int, algorithm: str) -> int:
    """Return the bytes beside input, weights and output that an algorithm works in."""
    if algorithm not in ALGORITHMS:
        return 0
    return ALGORITHMS[algorithm].workspace_bytes(problem(record, node, batch))


def convolve(record: design.Conv, x: Tensor, weight: Tensor, algorithm: str) -> Tensor:
    """Return a convolution without bias, with its derivatives."""
    down, across = record.padding
    return conv2d(
        x,
        weight,
        None,
        (record.stride[0], record.stride[1]),
        (down, across),
        (record.dilation[0], record.dilation[1]),
        record.groups,
        algorithm,
    )


def problem(record: design.Conv, node: Node, batch: int) -> Problem:
    """Return a node's convolution as `striate.ops` describes it."""
    channels, high, wide = node.shapes[0]
    return Problem(
        batch=batch,
        channels=channels,
        features=record.features,
        size=(high, wide),
        kernel=(record.kernel[0], record.kernel[1]),
        stride=(record.stride[0], record.stride[1]),
        padding=(record.padding[0], record.padding[1]),
        dilation=(record.dilation[0], record.dilation[1]),
        groups=record.groups,
    )


class Winograd:
    """Winograd's convolution: filters transformed once, bias, sum and rectifier as it writes."""

    into = True
    over = False
    slices = True

    def __init__(self, record: design.Conv, node: Node, outputs: int) -> None:
        if node.weight is None:
            raise TypeError(f"{node.name} has no weight")
        down, across = record.padding
        self.run = winograd.prepare(node.weight, outputs, (down, across))
        self.bias = node.bias
        self.relu = isinstance(node.activation, design.ReLU)
        self.activate = in_place(None if self.relu else node.activation)

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Convolve: (batch, channels, height, width) -> (batch, features, ...)."""
        residual = values[1] if len(values) > 1 else None
        if not len(values[0]):
            return torch.empty(0) if out is None else out
        y = self.run(values[0], bias=self.bias, residual=residual, relu=self.relu, out=out)
        return self.activate(y)

"""oneDNN as torch offers it: weights reordered once, epilogues in the kernel that writes.

The operators are those that torch.compile lowers to; this is the only file that names them. A torch
without them, a GPU or another precision than float32 gets torch's plain operators instead.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from striate import design
from striate.engine.activation import PostOp, post_op
from striate.engine.kernel import Plain
from striate.engine.node import Node
from striate.ops.padding import one_sided


@cache
def available() -> bool:
    """Tell whether this torch has the operators."""
    names = ("_convolution_pointwise", "_reorder_convolution_weight", "_linear_pointwise")
    return bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in names)


def fits(node: Node) -> bool:
    """Tell whether oneDNN computes this node whole: a float32 image or vector on a CPU."""
    weight = node.weight
    return (
        available()
        and node.native
        and weight is not None
        and weight.numel() > 0
        and post_op(node.activation) is not None
    )


class Convolution(Plain):
    """A convolution of images: weights in oneDNN's own order, bias, sum, activation.

    Args:
        record: of the node.
        node: what to compute.
        batch: images at a time, by which the order of the weights is chosen.
    """

    def __init__(self, record: design.Conv, node: Node, batch: int) -> None:
        self.over = node.residual is not None
        self.bias = node.bias
        self.window: tuple[Any, ...] = (
            list(one_sided(record.padding)),
            list(record.stride),
            list(record.dilation),
            record.groups,
        )
        op = post_op(node.activation) or PostOp("none")
        self.name, self.scalars, self.algorithm = op.name, list(op.scalars), op.algorithm
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            node.weight, *self.window, [batch, *node.shapes[0]]
        )

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Convolve: (batch, channels, height, width) -> (batch, features, ...)."""
        ops = torch.ops.mkldnn
        epilogue = (self.name, self.scalars, self.algorithm)
        y: Tensor
        if len(values) == 1:
            y = ops._convolution_pointwise(
                values[0], self.weight, self.bias, *self.window, *epilogue
            )
            return y
        unary = (None, [], None) if self.name == "none" else epilogue
        x, other = values
        if out is None:
            y = ops._convolution_pointwise.binary(
                x, other, self.weight, self.bias, *self.window, "add", None, *unary
            )
            return y
        y = ops._convolution_pointwise_.binary(
            out, x, self.weight, self.bias, *self.window, "add", None, *unary
        )
        return y


class Linear(Plain):
    """A linear layer with its activation, on the net's own weight.

    Of 9216 x 4096 and 4 rows: 12 ms where torch's own product takes 21. Weights in oneDNN's order
    would take 9, and as much memory again: 400 MB of VGG's 550.
    """

    def __init__(self, node: Node) -> None:
        op = post_op(node.activation) or PostOp("none")
        self.epilogue = (op.name, list(op.scalars), op.algorithm)
        self.weight, self.bias = node.weight, node.bias

    def __call__(self, values: list[Tensor], out: Tensor | None) -> Tensor:
        """Multiply: (batch, in_features) -> (batch, features)."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(
            values[0], self.weight, self.bias, *self.epilogue
        )
        return y

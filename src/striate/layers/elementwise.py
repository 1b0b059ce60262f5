"""Modules for functions of single elements, products, and tensors of a layer's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate.layers.dropout import placed_mask
from striate.layers.placement import current_placement

Function = Callable[..., Tensor]

# What each function of `design.elementwise.FUNCTIONS` is in torch.
FUNCTIONS: dict[str, Function] = {
    "abs": torch.abs,
    "at_least": lambda x, a: x.clamp(min=a),
    "at_most": lambda x, a: x.clamp(max=a),
    "between": lambda x, a, b: x.clamp(a, b),
    "celu": functional.celu,
    "elu": functional.elu,
    "exp": torch.exp,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "hardsigmoid": functional.hardsigmoid,
    "hardswish": functional.hardswish,
    "log": torch.log,
    "log_sigmoid": functional.logsigmoid,
    "mish": functional.mish,
    "power": lambda x, a: x**a,
    "rsqrt": torch.rsqrt,
    "scale": lambda x, a, b: x * a + b,
    "selu": functional.selu,
    "sin": torch.sin,
    "cos": torch.cos,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "sqrt": torch.sqrt,
    "tanhshrink": functional.tanhshrink,
}


class Elementwise(nn.Module):
    """A function of each element, by its name on paper."""

    def __init__(self, function: str, arguments: tuple[float, ...]) -> None:
        super().__init__()
        self.function, self.arguments = function, arguments

    def forward(self, x: Tensor) -> Tensor:
        """Return the function's values, of the input's shape."""
        return FUNCTIONS[self.function](x, *self.arguments)

    def extra_repr(self) -> str:
        """Return what print(module) shows in the brackets."""
        return ", ".join([self.function, *map(str, self.arguments)])


class Multiply(nn.Module):
    """Product of two or more tensors; axes of 1 are repeated."""

    def forward(self, *values: Tensor) -> Tensor:
        """Return the product: (batch, ...), (batch, ...), ... -> (batch, ...)."""
        product = values[0]
        for value in values[1:]:
            product = product * value
        return product


class Combine(nn.Module):
    """x + weight, x - weight, x * weight or x / weight.

    Args:
        operation: add, subtract, multiply or divide.
        shape: of the weight.
        constant: whether it is a buffer.
        seen: the shape that it is given first.

    Input shape: (batch, ...)
    Output shape: the same.
    """

    weight: Tensor

    def __init__(
        self,
        operation: str,
        shape: tuple[int, ...],
        constant: bool,
        seen: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.operation, self.seen = operation, shape if seen is None else seen
        if constant:
            self.register_buffer("weight", torch.ones(shape))
        else:
            self.weight = nn.Parameter(torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Combine: (batch, ...) -> (batch, ...)."""
        combine: Any = {
            "add": torch.add,
            "subtract": torch.sub,
            "multiply": torch.mul,
            "divide": torch.div,
        }
        y: Tensor = combine[self.operation](x, self.weight.reshape(self.seen))
        return y


class ChannelDropout(nn.Module):
    """Set whole channels to zero with probability p in training; do nothing in evaluation.

    Args:
        p: probability of dropping a channel, 0 <= p < 1.
        name: the layer's name in its network, part of the mask's address.

    Input shape: (batch, channels, ...)
    Output shape: the same.
    """

    def __init__(self, p: float, name: str) -> None:
        super().__init__()
        self.p, self.name = p, name

    def forward(self, x: Tensor) -> Tensor:
        """Return x with channels dropped in training: (batch, channels, ...) -> the same."""
        if not self.training or self.p == 0.0:
            return x
        if current_placement() is None:
            return torch.feature_dropout(x, self.p, True)
        first = x.detach().flatten(2)[:, :, 0] if x.dim() > 2 else x.detach()
        mask: Tensor = placed_mask(first.contiguous(), self.p, self.name)
        return x * mask.view(*mask.shape, *[1] * (x.dim() - 2))

"""Functions of single elements without a record of their own, products, tensors of one's own.

What people write between convolutions is endless; here one record names a function out of a list,
so that a new one is a line, not a class.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from striate.design.init import Constant, Init
from striate.design.layer import Layer, Parameter, Shape

# Each function, and how many arguments it takes.
FUNCTIONS: dict[str, int] = {
    "abs": 0,
    "at_least": 1,  # max(x, a)
    "at_most": 1,  # min(x, a)
    "between": 2,  # min(max(x, a), b): torch's hardtanh and clamp
    "celu": 1,
    "elu": 1,
    "exp": 0,
    "gelu_tanh": 0,  # GELU by its tanh approximation
    "hardsigmoid": 0,
    "hardswish": 0,
    "log": 0,
    "log_sigmoid": 0,
    "mish": 0,
    "power": 1,  # x^a
    "rsqrt": 0,
    "scale": 2,  # a x + b
    "selu": 0,
    "sin": 0,
    "cos": 0,
    "softplus": 2,
    "softsign": 0,
    "sqrt": 0,
    "tanhshrink": 0,
}


class Elementwise(Layer, frozen=True, kw_only=True):
    """A function of each element, by torch's name for it or one of `FUNCTIONS`.

    Args:
        function: which.
        arguments: its numbers, in torch's order.

    Input shape: any. Output shape: the same.
    """

    function: str
    arguments: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = FUNCTIONS.get(self.function)
        if count is None:
            raise self.refuse(
                f"expected a function of {', '.join(FUNCTIONS)}, received {self.function!r}"
            )
        if len(self.arguments) != count:
            raise self.refuse(
                f"expected {count} arguments of {self.function}, received {self.arguments}"
            )


class PReLU(Layer, frozen=True, kw_only=True, tag="prelu"):
    """x where positive, slope * x elsewhere, the slope trained.

    Args:
        each: one slope for each channel, else one for all.
        weight_init: how the slope starts.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """

    each: bool = False
    weight_init: Init = Constant(value=0.25)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return the slope: (channels,) or (1,)."""
        shape = (inputs[0][0] if self.each else 1,)
        return () if self.shares else (self.own("weight", shape, "scale", self.weight_init),)


class LogSoftmax(Layer, frozen=True, kw_only=True):
    """The logarithm of softmax along the channels."""


class ChannelDropout(Layer, frozen=True, kw_only=True):
    """Zero whole channels with probability p in training, scale the rest by 1 / (1 - p).

    Source: Tompson et al., "Efficient object localization", CVPR 2015; torch's Dropout2d.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.p < 1.0:
            raise self.refuse(f"expected 0 <= p < 1, received p={self.p}")


class Multiply(Layer, frozen=True, kw_only=True):
    """The product of values; an axis of size 1 is repeated (a gate for each channel).

    Input shapes: alike, or with axes of 1.
    Output shape: the larger one.

    Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, for the gate.
    """

    arity: ClassVar[int | None] = None
    counted: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        """Return the largest size along each axis."""
        sizes = [set(axis) - {1} for axis in zip(*inputs, strict=False)]
        if len({len(shape) for shape in inputs}) > 1 or any(len(each) > 1 for each in sizes):
            named = ", ".join(f"{n} {s}" for n, s in zip(self.inputs, inputs, strict=True))
            raise self.refuse(f"expected inputs alike up to axes of 1, received {named}")
        return tuple(max(axis) for axis in zip(*inputs, strict=True))


class Combine(Layer, frozen=True, kw_only=True):
    """x + weight, x - weight, x * weight or x / weight, with a tensor of the layer's own.

    LayerScale, a position embedding, the mean and deviation that some networks take off themselves.

    Args:
        operation: which.
        shape: of the tensor; axes of 1 are repeated, missing ones lie in front.
        seen: the shape that it is given before that, where it is kept in another.
        constant: whether it is kept with the network, but not trained.
        weight_init: how it starts.

    Input shape: any that the tensor's fits.
    Output shape: the same.
    """

    operation: Literal["add", "subtract", "multiply", "divide"]
    shape: Shape
    seen: Shape | None = None
    constant: bool = False
    weight_init: Init = Constant(value=1.0)

    def output(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        seen = self.shape if self.seen is None else self.seen
        own = seen[1:] if len(seen) > len(inputs[0]) and seen[0] == 1 else seen
        ends = inputs[0][len(inputs[0]) - len(own) :]
        if len(own) > len(inputs[0]) or any(
            a not in (1, b) for a, b in zip(own, ends, strict=True)
        ):
            raise self.refuse(f"its tensor of {seen} does not fit an input of {inputs[0]}")
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return the tensor, where it is trained."""
        if self.constant or self.shares:
            return ()
        role: Literal["scale", "shift"] = (
            "shift" if self.operation in ("add", "subtract") else "scale"
        )
        return (self.own("weight", self.shape, role, self.weight_init),)

    def constants(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return the tensor, where it is not."""
        if not self.constant:
            return ()
        return (self.own("weight", self.shape, "scale", self.weight_init),)

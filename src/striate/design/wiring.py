"""Layers that only move values: flattening, joining, shortcuts; and the opaque one."""

from __future__ import annotations

from typing import ClassVar, Literal

from striate.design.arithmetic import Padding, volume
from striate.design.layer import Layer, Parameter, Shape, Window, spatial


class Flatten(Layer, frozen=True, kw_only=True):
    """(channels, *space) -> (channels * space,), channels slowest, as torch does."""

    def output(self, *inputs: Shape) -> Shape:
        """Return (elements,)."""
        return (volume(inputs[0]),)

    @property
    def whole(self) -> bool:
        """A vector has no place any more."""
        return True


class Identity(Layer, frozen=True, kw_only=True):
    """The input, unchanged."""


class Pad(Layer, frozen=True, kw_only=True):
    """Pixels around the image, before whatever comes next.

    Args:
        padding: (before, after) on each axis.
        mode: `zero`, `reflect` (the border pixel is not repeated), or `edge` (it is).

    Input shape: (channels, *space)
    Output shape: (channels, *padded_space)
    """

    padding: tuple[Padding, ...]
    mode: Literal["zero", "reflect", "edge"] = "zero"

    def __post_init__(self) -> None:
        if not 1 <= len(self.padding) <= 3 or min(map(min, self.padding)) < 0:
            raise self.refuse(f"expected no negative padding, received padding={self.padding}")

    def output(self, *inputs: Shape) -> Shape:
        """Return (channels, *padded_space)."""
        space = spatial(self, inputs[0], len(self.padding))
        if self.mode == "reflect" and any(
            max(ends) >= size for size, ends in zip(space, self.padding, strict=True)
        ):
            raise self.refuse(f"reflecting {self.padding} needs more pixels than {space} has")
        return (
            inputs[0][0],
            *(size + sum(ends) for size, ends in zip(space, self.padding, strict=True)),
        )

    def window(self, *inputs: Shape) -> Window:
        """Return a single pixel; the first lies in the padding."""
        ones = (1,) * len(self.padding)
        return Window(ones, ones, tuple(before for before, _ in self.padding))


class Add(Layer, frozen=True, kw_only=True):
    """The sum of two or more values of one shape."""

    arity: ClassVar[int | None] = None
    counted: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        """Return the common shape."""
        if len(set(inputs)) != 1:
            named = ", ".join(f"{n} {s}" for n, s in zip(self.inputs, inputs, strict=True))
            raise self.refuse(f"expected inputs of one shape, received {named}")
        return inputs[0]


class Concat(Layer, frozen=True, kw_only=True):
    """The channels of all inputs, one after another."""

    arity: ClassVar[int | None] = None
    counted: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        """Return (sum of channels, *space)."""
        if len({shape[1:] for shape in inputs}) != 1:
            named = ", ".join(f"{n} {s}" for n, s in zip(self.inputs, inputs, strict=True))
            raise self.refuse(f"expected inputs of one height and width, received {named}")
        return (sum(shape[0] for shape in inputs), *inputs[0][1:])


class Shortcut(Layer, frozen=True, kw_only=True):
    """Option A of the ResNet paper: every stride-th pixel, and channels of zeros; no parameter.

    The new channels are split evenly before and behind the old ones; the odd one goes behind.

    Input shape: (channels, *space)
    Output shape: (features, *ceil(space / stride))

    Source: He et al., CVPR 2016, section 4.1; where the zeros go is that of the reproductions.
    """

    features: int
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.stride) <= 3 or min(self.stride) < 1:
            raise self.refuse(f"expected strides of at least 1, received stride={self.stride}")

    def output(self, *inputs: Shape) -> Shape:
        """Return (features, *ceil(space / stride))."""
        space = spatial(self, inputs[0], len(self.stride))
        if self.features < inputs[0][0]:
            raise self.refuse(f"expected at least {inputs[0][0]} features, got {self.features}")
        return (self.features, *(-(-w // s) for w, s in zip(space, self.stride, strict=True)))

    def window(self, *inputs: Shape) -> Window:
        """Return a single pixel, strided."""
        ones = (1,) * len(self.stride)
        return Window(ones, self.stride, (0,) * len(self.stride))


class Opaque(Layer, frozen=True, kw_only=True):
    """A part that is counted but cannot be built from paper.

    Args:
        op: what it is called where it came from.
        shape: its output.
        shapes: its parameters by local name.
        cost: multiply-adds.
    """

    arity: ClassVar[int | None] = None
    counted: ClassVar[bool] = True

    op: str
    shape: Shape
    shapes: tuple[tuple[str, Shape], ...] = ()
    cost: int = 0

    def output(self, *inputs: Shape) -> Shape:
        """Return the shape it was seen to give."""
        return self.shape

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return its parameters, all as weights."""
        return tuple(Parameter(name, shape, "weight") for name, shape in self.shapes)

    def macs(self, *inputs: Shape) -> int:
        """Return what it was counted to cost."""
        return self.cost

    @property
    def whole(self) -> bool:
        """What it looks at is unknown: everything, at most."""
        return True

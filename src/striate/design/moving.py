"""Layers that cut, turn and resize values; their axes are those without batch."""

from __future__ import annotations

from math import floor
from typing import ClassVar, Literal

from striate.design.arithmetic import volume
from striate.design.init import FanInUniform, Init
from striate.design.layer import Layer, Parameter, Shape, Window

Range = tuple[int, int | None, int]


class Reshape(Layer, frozen=True, kw_only=True):
    """The same elements in another shape, last axis fastest.

    Args:
        shape: without batch.
        kept: how many axes at the end stay as they are: the places that channels are at. They have
            a size in `shape` too, which is not read: write 1.

    Input shape: any.
    Output shape: `shape`
    """

    shape: Shape
    kept: int = 0

    def output(self, *inputs: Shape) -> Shape:
        """Return `shape`, its last `kept` sizes those of the input."""
        places = inputs[0][len(inputs[0]) - self.kept :]
        shape = (*self.shape[: len(self.shape) - self.kept], *places)
        have, want = volume(inputs[0]), volume(shape)
        if have != want:
            by = "x".join(map(str, inputs[0]))
            raise self.refuse(
                f"expects {want} features, received {have} = {by}",
                fixes=(f"make it {have}",),
                expects=want,
            )
        return shape

    def carried(self, axis: int, *inputs: Shape) -> int | None:
        """Return the axis of the same size before as many elements; None where there is none."""
        before, after = inputs[0], self.output(*inputs)
        inner = volume(before[axis + 1 :])
        return next(
            (
                place
                for place, size in enumerate(after)
                if size == before[axis] and volume(after[place + 1 :]) == inner
            ),
            None,
        )


class Permute(Layer, frozen=True, kw_only=True):
    """The axes in another order: axis i of the output is axis order[i] of the input.

    Axes are counted without the batch, which stays in front: 0 is that of the channels. (1, 2, 0)
    turns (channels, height, width) into (height, width, channels), as torch's (0, 2, 3, 1) does.

    Args:
        order: each axis of the input once.

    Input shape: any.
    Output shape: the sizes of the input in that order.
    """

    order: tuple[int, ...]

    def output(self, *inputs: Shape) -> Shape:
        """Return the sizes in the new order."""
        if sorted(self.order) != list(range(len(inputs[0]))):
            raise self.refuse(
                f"expected an order of {len(inputs[0])} axes, received order={self.order}"
            )
        return tuple(inputs[0][axis] for axis in self.order)

    def carried(self, axis: int, *inputs: Shape) -> int | None:
        """Return where the order puts the axis."""
        return self.order.index(axis)


class Slice(Layer, frozen=True, kw_only=True):
    """A part of the first axes, each by (start, stop, step); stop None is the end.

    Input shape: any.
    Output shape: the positions taken along each axis.
    """

    ranges: tuple[Range, ...]

    def __post_init__(self) -> None:
        if not self.ranges or min(step for _, _, step in self.ranges) < 1:
            raise self.refuse(f"expected steps of at least 1, received ranges={self.ranges}")

    def output(self, *inputs: Shape) -> Shape:
        """Return how many positions are taken of each axis."""
        shape = inputs[0]
        if len(self.ranges) > len(shape):
            raise self.refuse(f"expected {len(self.ranges)} axes or more, received {shape}")
        taken = tuple(
            len(range(*slice(*each).indices(size)))
            for each, size in zip(self.ranges, shape, strict=False)
        )
        if 0 in taken:
            raise self.refuse(f"{self.ranges} takes nothing of an input of {shape}")
        return (*taken, *shape[len(taken) :])

    def window(self, *inputs: Shape) -> Window | None:
        """Return single pixels, strided, from where the part starts."""
        space = inputs[0][1:]
        ranges = (*self.ranges[1:], *((0, None, 1),) * (len(inputs[0]) - len(self.ranges)))
        starts = (slice(*each).indices(n)[0] for each, n in zip(ranges, space, strict=True))
        ones = (1,) * len(space)
        return Window(ones, tuple(step for _, _, step in ranges), tuple(-s for s in starts))


class Resize(Layer, frozen=True, kw_only=True):
    """Another height and width, by the nearest pixel or between neighbouring ones.

    Args:
        scale: factor along each axis; the output is rounded down.
        size: of the output, instead of a factor.
        mode: `nearest`, `linear` (bilinear for images) or `cubic`.
        corners: whether the outermost pixels' centres stay where they are (torch's align_corners).

    Input shape: (channels, *space)
    Output shape: (channels, *out_space)
    """

    counted: ClassVar[bool] = True

    scale: tuple[float, ...] = ()
    size: tuple[int, ...] = ()
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    corners: bool = False

    def __post_init__(self) -> None:
        if bool(self.scale) == bool(self.size):
            raise self.refuse(
                f"expected a scale or a size, received scale={self.scale}, size={self.size}"
            )

    def output(self, *inputs: Shape) -> Shape:
        """Return (channels, *out_space)."""
        space = inputs[0][1:]
        if len(space) != len(self.scale or self.size):
            raise self.refuse(
                f"expected {len(self.scale or self.size)} spatial axes, received {inputs[0]}"
            )
        sizes = self.size or tuple(floor(n * s) for n, s in zip(space, self.scale, strict=True))
        if min(sizes) < 1:
            raise self.refuse(f"nothing is left of {space} at scale={self.scale}")
        return (inputs[0][0], *sizes)

    def window(self, *inputs: Shape) -> Window | None:
        """Return the transposed window of a whole factor, the window of a whole fraction.

        Between other sizes the windows differ from place to place; no window is given then.
        """
        before, after = inputs[0][1:], self.output(*inputs)[1:]
        if all(b % a == 0 for a, b in zip(before, after, strict=True)):
            factors = tuple(b // a for a, b in zip(before, after, strict=True))
            reach = tuple(f if self.mode == "nearest" else 2 * f - f % 2 for f in factors)
            lead = tuple((r - f) // 2 for r, f in zip(reach, factors, strict=True))
            return Window(reach, (1,) * len(factors), lead, factors)
        if all(a % b == 0 for a, b in zip(before, after, strict=True)):
            factors = tuple(a // b for a, b in zip(before, after, strict=True))
            if self.mode == "nearest":
                return Window((1,) * len(factors), factors, (0,) * len(factors))
            taps = tuple(2 - f % 2 for f in factors)
            return Window(taps, factors, tuple(-((f - 1) // 2) for f in factors))
        return None


class Reduce(Layer, frozen=True, kw_only=True):
    """The mean, sum or largest value along some axes.

    Args:
        function: which.
        axes: 0 is the channels.
        keep: whether those axes stay, of size 1.
    """

    function: Literal["mean", "sum", "max"]
    axes: tuple[int, ...]
    keep: bool = True

    def output(self, *inputs: Shape) -> Shape:
        """Return the shape with those axes gone, or 1."""
        shape = inputs[0]
        if not self.axes or not all(0 <= axis < len(shape) for axis in self.axes):
            raise self.refuse(f"expected axes of {shape}, received axes={self.axes}")
        left = tuple(
            1 if axis in self.axes else size
            for axis, size in enumerate(shape)
            if self.keep or axis not in self.axes
        )
        return left or (1,)

    @property
    def whole(self) -> bool:
        """Along space, every output sees all of it."""
        return max(self.axes) > 0

    def carried(self, axis: int, *inputs: Shape) -> int | None:
        """Return the axis, less those in front of it that are gone."""
        if self.keep:
            return axis
        return None if axis in self.axes else axis - sum(each < axis for each in self.axes)


class LinearLast(Layer, frozen=True, kw_only=True):
    """One fully connected layer for the last axis of a value: the same at every place.

    Args:
        features, bias, in_features, weight_init, bias_init: as of Linear.

    Input shape: (..., in_features)
    Output shape: (..., features)
    """

    counted: ClassVar[bool] = True

    features: int
    bias: bool = True
    in_features: int | None = None
    weight_init: Init = FanInUniform()
    bias_init: Init = FanInUniform()

    def output(self, *inputs: Shape) -> Shape:
        """Return (..., features)."""
        have = inputs[0][-1]
        if self.in_features not in (None, have):
            raise self.refuse(
                f"expects {self.in_features} features in the last axis, received {inputs[0]}",
                fixes=(f"set in_features={have}",),
            )
        return (*inputs[0][:-1], self.features)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return weight (features, in_features) and bias (features,)."""
        if self.shares:
            return ()
        fans = (inputs[0][-1], self.features)
        shape = (self.features, inputs[0][-1])
        weight = self.own("weight", shape, "weight", self.weight_init, fans)
        bias = self.own("bias", (self.features,), "bias", self.bias_init, fans)
        return (weight, bias) if self.bias else (weight,)

    def macs(self, *inputs: Shape) -> int:
        """Return elements x features."""
        return volume(inputs[0]) * self.features

    def carried(self, axis: int, *inputs: Shape) -> int | None:
        """Return the axis; the last one goes into every feature."""
        return None if axis == len(inputs[0]) - 1 else axis

"""Convolution and its special case, the fully connected layer."""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

from striate.design.arithmetic import Padding, output_size, window_extent
from striate.design.fit import smallest_padding, spell_padding
from striate.design.init import FanInUniform, Init
from striate.design.layer import Layer, Parameter, Shape, Window, spatial
from striate.errors import DesignError


class Conv(Layer, frozen=True, kw_only=True):
    """Convolution (cross-correlation, as all networks compute it) along one to three axes.

    y[k, p] = bias[k] + sum over c, t of weight[k, c, t] x[c, p * stride + t * dilation - padding]

    Args:
        features: number of filters.
        kernel: extent of a filter on each axis.
        stride, padding (before, after), dilation: on each axis.
        groups: channels and filters fall into this many groups that do not see each other.
        bias: one a `channel`, one a `position` of the output (AlphaGo's last layer), or `none`.
        connections: for each filter the input channels it sees (LeNet-5's C3); groups is then 1.
        in_channels: as declared where it was written; checked, and else read off the input.
        weight_init, bias_init: how they start.

    Input shape: (channels, *space)
    Output shape: (features, *out_space)
    """

    counted: ClassVar[bool] = True

    features: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Padding, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    bias: Literal["none", "channel", "position"] = "channel"
    connections: tuple[tuple[int, ...], ...] | None = None
    in_channels: int | None = None
    weight_init: Init = FanInUniform()
    bias_init: Init = FanInUniform()

    def __post_init__(self) -> None:
        axes = len(self.kernel)
        if not 1 <= axes <= 3 or any(
            len(each) != axes for each in (self.stride, self.padding, self.dilation)
        ):
            raise self.refuse(
                f"expected kernel, stride, padding and dilation of the same one to three axes, "
                f"received kernel={self.kernel}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}"
            )
        if min(*self.kernel, *self.stride, *self.dilation, self.features, self.groups) < 1:
            raise self.refuse(
                f"expected features, kernel, stride, dilation and groups of at least 1, received "
                f"features={self.features}, kernel={self.kernel}, stride={self.stride}, "
                f"dilation={self.dilation}, groups={self.groups}"
            )
        if min(end for pair in self.padding for end in pair) < 0:
            raise self.refuse(f"expected no negative padding, received padding={self.padding}")

    def output(self, *inputs: Shape) -> Shape:
        """Return (features, *out_space)."""
        space = spatial(self, inputs[0], len(self.kernel))
        self._check_channels(inputs[0][0])
        sizes = tuple(
            map(output_size, space, self.kernel, self.stride, self.padding, self.dilation)
        )
        if min(sizes) < 1:
            raise misfit(self, space, self.kernel, self.stride, self.padding, self.dilation)
        return (self.features, *sizes)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return weight (features, channels / groups, *kernel) and bias.

        With `connections` the weight holds the connections that exist: (connections, *kernel).
        """
        if self.shares:
            return ()
        channels, taps = inputs[0][0] // self.groups, prod(self.kernel)
        shape: Shape = (self.features, channels, *self.kernel)
        if self.connections is not None:
            shape = (sum(map(len, self.connections)), *self.kernel)
            channels = shape[0] // self.features
        fans = (channels * taps, self.features * taps // self.groups)
        weight = self.own("weight", shape, "weight", self.weight_init, fans)
        if self.bias == "none":
            return (weight,)
        positions = self.output(*inputs)[1:] if self.bias == "position" else ()
        return weight, self.own("bias", (self.features, *positions), "bias", self.bias_init, fans)

    def macs(self, *inputs: Shape) -> int:
        """Return positions x weights that each position uses."""
        weight = prod(self.parameters_of_weight(inputs[0]))
        return weight * prod(self.output(*inputs)[1:])

    def parameters_of_weight(self, shape: Shape) -> Shape:
        """Return the weight's shape, whoever owns it."""
        return self.replace(shares=None).parameters(shape)[0].shape

    def window(self, *inputs: Shape) -> Window:
        """Return the filter's extent, stride and padding."""
        extents = tuple(map(window_extent, self.kernel, self.dilation))
        return Window(extents, self.stride, tuple(before for before, _ in self.padding))

    def _check_channels(self, channels: int) -> None:
        if self.in_channels not in (None, channels):
            raise self.refuse(
                f"expects {self.in_channels} channels, received {channels}",
                fixes=(f"set in_channels={channels}",),
            )
        if channels % self.groups or self.features % self.groups:
            raise self.refuse(
                f"expected channels and features divisible by groups={self.groups}, "
                f"received channels={channels}, features={self.features}"
            )
        if self.connections is None:
            return
        if len(self.connections) != self.features or self.groups != 1:
            raise self.refuse(
                f"expected connections for features={self.features} filters and groups=1, "
                f"received {len(self.connections)} and groups={self.groups}"
            )
        if max(max(row) for row in self.connections) >= channels:
            raise self.refuse(f"connections name a channel beyond the {channels} there are")


class Linear(Layer, frozen=True, kw_only=True):
    """Fully connected layer: y = weight x + bias.

    Args:
        features: number of outputs.
        bias: whether there is one.
        in_features: as declared where it was written; checked, and else read off the input.
        weight_init, bias_init: how they start.

    Input shape: (in_features,)
    Output shape: (features,)
    """

    counted: ClassVar[bool] = True

    features: int
    bias: bool = True
    in_features: int | None = None
    weight_init: Init = FanInUniform()
    bias_init: Init = FanInUniform()

    def __post_init__(self) -> None:
        if self.features < 1:
            raise self.refuse(f"expected at least 1 feature, received features={self.features}")

    def output(self, *inputs: Shape) -> Shape:
        """Return (features,)."""
        if len(inputs[0]) != 1:
            raise self.refuse(
                f"expected a vector (features,), received shape {inputs[0]}: "
                "put a Flatten before it"
            )
        if self.in_features not in (None, inputs[0][0]):
            raise self.refuse(
                f"expects {self.in_features} features, received {inputs[0][0]}",
                fixes=(f"set in_features={inputs[0][0]}",),
                expects=self.in_features,
            )
        return (self.features,)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return weight (features, in_features) and bias (features,)."""
        if self.shares:
            return ()
        fans = (inputs[0][0], self.features)
        shape = (self.features, inputs[0][0])
        weight = self.own("weight", shape, "weight", self.weight_init, fans)
        bias = self.own("bias", (self.features,), "bias", self.bias_init, fans)
        return (weight, bias) if self.bias else (weight,)

    def macs(self, *inputs: Shape) -> int:
        """Return in_features x features."""
        return inputs[0][0] * self.features

    @property
    def whole(self) -> bool:
        """Every output sees every input."""
        return True


def misfit(
    layer: Layer,
    space: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[Padding, ...],
    dilation: tuple[int, ...],
) -> DesignError:
    """Say that a window does not fit, with every value that led to it and a padding that would."""
    extents = tuple(map(window_extent, kernel, dilation))
    lacking = tuple(map(smallest_padding, space, kernel, dilation))
    enough = tuple(
        (max(p[0], -(-sum(lack) // 2)), max(p[1], -(-sum(lack) // 2)))
        for p, lack in zip(padding, lacking, strict=True)
    )
    sizes = tuple(map(output_size, space, kernel, stride, enough, dilation))
    spelled = tuple(dict.fromkeys(spell_padding(pair) for pair in enough))
    pads = max(map(max, enough)) < max(extents)  # else a window would lie wholly in the padding
    fix = f"set padding={' and '.join(spelled)} for an output of {by(sizes)}"
    dilated = f" (dilation {by(dilation)})" if max(dilation) > 1 else ""
    return layer.refuse(
        f"its {by(extents)} window{dilated} does not fit an input of {by(space)}, with "
        f"kernel={kernel}, stride={stride}, padding={padding}",
        fixes=(fix,) if pads else (),
    )


def by(sizes: tuple[int, ...]) -> str:
    """Spell sizes as people write them: 224x224."""
    return "x".join(map(str, sizes))

"""The locally connected layer: a convolution's windows, each place with filters of its own."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from striate.design.arithmetic import Padding, output_size
from striate.design.init import FanInUniform, Init
from striate.design.layer import Layer, Parameter, Shape, Window, spatial
from striate.design.linear import misfit


class Local(Layer, frozen=True, kw_only=True):
    """A convolution without weight sharing, along one to three axes.

    y[p, k] = bias[k, p] + sum over c, t of weight[p, k, c, t] x[c, p * stride + t - padding]

    A fully connected layer gives each unit the whole image, this one gives it a window, and a
    convolution gives all places the same filters. On an image of 1000x1000, a million units have
    10^12 weights, 10^8 with windows of 10x10, and 100 for a filter that all places share.

    Args:
        features: filters at each place.
        kernel: extent of a filter on each axis.
        stride, padding (before, after): on each axis.
        bias: whether each unit has one.
        weight_init, bias_init: how they start.

    Input shape: (channels, *space)
    Output shape: (features, *out_space)

    Source: LeCun, "Generalization and network design strategies", 1989, section 4.2 (Net-3).
    """

    counted: ClassVar[bool] = True

    features: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Padding, ...]
    bias: bool = True
    weight_init: Init = FanInUniform()
    bias_init: Init = FanInUniform()

    def __post_init__(self) -> None:
        if not len(self.kernel) == len(self.stride) == len(self.padding) in (1, 2, 3):
            raise self.refuse(
                f"expected kernel, stride and padding of the same one to three axes, received "
                f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"
            )
        if min(*self.kernel, *self.stride, self.features) < 1 or min(map(min, self.padding)) < 0:
            raise self.refuse(
                f"expected features, kernel and stride of at least 1 and no negative padding, "
                f"received features={self.features}, kernel={self.kernel}, stride={self.stride}, "
                f"padding={self.padding}"
            )

    def output(self, *inputs: Shape) -> Shape:
        """Return (features, *out_space)."""
        space = spatial(self, inputs[0], len(self.kernel))
        ones = (1,) * len(space)
        sizes = tuple(map(output_size, space, self.kernel, self.stride, self.padding, ones))
        if min(sizes) < 1:
            raise misfit(self, space, self.kernel, self.stride, self.padding, ones)
        return (self.features, *sizes)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return weight (*out_space, features, channels, *kernel), bias (features, *out_space)."""
        if self.shares:
            return ()
        channels, taps = inputs[0][0], prod(self.kernel)
        features, *places = self.output(*inputs)
        fans = (channels * taps, features * taps)
        shape = (*places, features, channels, *self.kernel)
        weight = self.own("weight", shape, "weight", self.weight_init, fans)
        bias = self.own("bias", (features, *places), "bias", self.bias_init, fans)
        return (weight, bias) if self.bias else (weight,)

    def macs(self, *inputs: Shape) -> int:
        """Return the number of weights: each is used once."""
        return prod(self.output(*inputs)) * inputs[0][0] * prod(self.kernel)

    def window(self, *inputs: Shape) -> Window:
        """Return the filter's extent, stride and padding."""
        return Window(self.kernel, self.stride, tuple(before for before, _ in self.padding))

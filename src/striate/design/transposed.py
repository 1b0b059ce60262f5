"""Transposed convolution: the shapes of a convolution, from its output back to its input."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from striate.design.arithmetic import Padding, window_extent
from striate.design.init import FanInUniform, Init
from striate.design.layer import Layer, Parameter, Shape, Window, spatial


class ConvTranspose(Layer, frozen=True, kw_only=True):
    """Every input pixel puts its filters down, `stride` pixels apart; where they overlap they add.

    y[k, i stride - padding + t dilation] += weight[c, k, t] x[c, i], summed over c, i and t

    Args:
        features: channels of the output.
        kernel: extent of a filter on each axis.
        stride: how far apart neighbouring pixels put them.
        padding: pixels cut off the result (before, after).
        extra: pixels added after it again, where several sizes lead to one (torch's
            output_padding).
        dilation: distance of neighbouring taps.
        groups: channels and filters fall into this many groups that do not see each other.
        bias: whether each channel has one.
        in_channels: as declared where it was written; checked, and else read off the input.
        weight_init, bias_init: how they start.

    Input shape: (channels, *space)
    Output shape: (features, *out_space), (space - 1) stride + extent - padding + extra each

    Source: Dumoulin and Visin 2016, chapter 4; Zeiler et al., CVPR 2010, where it began.
    """

    counted: ClassVar[bool] = True

    features: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Padding, ...]
    extra: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    bias: bool = True
    in_channels: int | None = None
    weight_init: Init = FanInUniform()
    bias_init: Init = FanInUniform()

    def __post_init__(self) -> None:
        axes = len(self.kernel)
        each = (self.stride, self.padding, self.extra, self.dilation)
        if not 1 <= axes <= 3 or any(len(sizes) != axes for sizes in each):
            raise self.refuse(
                f"expected kernel, stride, padding, extra and dilation of the same one to three "
                f"axes, received kernel={self.kernel}, stride={self.stride}, "
                f"padding={self.padding}, extra={self.extra}, dilation={self.dilation}"
            )
        least = min(*self.kernel, *self.stride, *self.dilation, self.features, self.groups)
        if least < 1 or min(*self.extra, *(min(pair) for pair in self.padding)) < 0:
            raise self.refuse(
                f"expected sizes of at least 1 and no negative padding, received "
                f"features={self.features}, kernel={self.kernel}, stride={self.stride}, "
                f"padding={self.padding}, extra={self.extra}, dilation={self.dilation}"
            )
        if any(
            e >= max(s, d) for e, s, d in zip(self.extra, self.stride, self.dilation, strict=True)
        ):
            raise self.refuse(
                f"expected extra pixels fewer than the stride or dilation, received "
                f"extra={self.extra}, stride={self.stride}, dilation={self.dilation}"
            )

    def output(self, *inputs: Shape) -> Shape:
        """Return (features, *out_space)."""
        space, channels = spatial(self, inputs[0], len(self.kernel)), inputs[0][0]
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
        extents = map(window_extent, self.kernel, self.dilation)
        sizes = tuple(
            (n - 1) * s + extent - sum(p) + e
            for n, s, extent, p, e in zip(
                space, self.stride, extents, self.padding, self.extra, strict=True
            )
        )
        if min(sizes) < 1:
            raise self.refuse(
                f"nothing is left of {space}, with kernel={self.kernel}, stride={self.stride}, "
                f"padding={self.padding}"
            )
        return (self.features, *sizes)

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return weight (channels, features / groups, *kernel) and bias (features,)."""
        if self.shares:
            return ()
        channels, taps = inputs[0][0], prod(self.kernel)
        shape = (channels, self.features // self.groups, *self.kernel)
        # torch takes the fan in of a transposed weight from its second axis
        fans = (shape[1] * taps, channels // self.groups * taps)
        weight = self.own("weight", shape, "weight", self.weight_init, fans)
        bias = self.own("bias", (self.features,), "bias", self.bias_init, fans)
        return (weight, bias) if self.bias else (weight,)

    def macs(self, *inputs: Shape) -> int:
        """Return input places x weights."""
        channels, *space = inputs[0]
        return prod(space) * channels * self.features // self.groups * prod(self.kernel)

    def window(self, *inputs: Shape) -> Window:
        """Return the filter's extent as it slides over the output."""
        extents = tuple(map(window_extent, self.kernel, self.dilation))
        ones = (1,) * len(self.kernel)
        return Window(extents, ones, tuple(before for before, _ in self.padding), self.stride)

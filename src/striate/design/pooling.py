"""Pooling, by windows and to a fixed size."""

from __future__ import annotations

from typing import ClassVar

from striate.design.arithmetic import Padding, adaptive_windows, output_size
from striate.design.layer import Layer, Shape, Window, spatial
from striate.design.linear import misfit


class Pool(Layer, frozen=True, kw_only=True):
    """A window slid over each channel: what max and average pooling share.

    Args:
        kernel, stride, padding (before, after): on each axis; padding is at most half the kernel.
        ceil: round the output size up, so that no pixel at the end is left out.

    Input shape: (channels, *space)
    Output shape: (channels, *out_space)
    """

    counted: ClassVar[bool] = True

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Padding, ...]
    ceil: bool = False

    def __post_init__(self) -> None:
        if not len(self.kernel) == len(self.stride) == len(self.padding) in (1, 2, 3):
            raise self.refuse(
                f"expected kernel, stride and padding of the same one to three axes, received "
                f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"
            )
        if min(*self.kernel, *self.stride) < 1:
            raise self.refuse(
                f"expected kernel and stride of at least 1, received kernel={self.kernel}, "
                f"stride={self.stride}"
            )
        if any(
            min(p) < 0 or max(p) > k // 2 for p, k in zip(self.padding, self.kernel, strict=True)
        ):
            raise self.refuse(
                f"expected padding of at most half the kernel, received kernel={self.kernel}, "
                f"padding={self.padding}"
            )

    def output(self, *inputs: Shape) -> Shape:
        """Return (channels, *out_space)."""
        space = spatial(self, inputs[0], len(self.kernel))
        ones = (1,) * len(space)
        sizes = tuple(
            output_size(*axis, ceil=self.ceil)
            for axis in zip(space, self.kernel, self.stride, self.padding, ones, strict=True)
        )
        if min(sizes) < 1:
            raise misfit(self, space, self.kernel, self.stride, self.padding, ones)
        return (inputs[0][0], *sizes)

    def window(self, *inputs: Shape) -> Window:
        """Return the window."""
        return Window(self.kernel, self.stride, tuple(before for before, _ in self.padding))


class MaxPool(Pool, frozen=True, kw_only=True):
    """The largest value under each window; padding never wins."""


class AvgPool(Pool, frozen=True, kw_only=True):
    """The mean under each window.

    Args:
        count_padding: whether padded zeros count in the mean.
    """

    count_padding: bool = True


class AdaptivePool(Layer, frozen=True, kw_only=True):
    """Windows that cut the input into `size` positions; 1x1 is global pooling.

    Input shape: (channels, *space)
    Output shape: (channels, *size)

    Source: global pooling: Lin et al., "Network In Network", ICLR 2014; the windows are torch's.
    """

    counted: ClassVar[bool] = True

    size: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.size) <= 3 or min(self.size) < 1:
            raise self.refuse(f"expected one to three sizes of at least 1, received {self.size}")

    def output(self, *inputs: Shape) -> Shape:
        """Return (channels, *size)."""
        spatial(self, inputs[0], len(self.size))
        return (inputs[0][0], *self.size)

    def stored(self, *inputs: Shape) -> bool:
        """Return False where it changes nothing."""
        return inputs[0][1:] != self.size

    def window(self, *inputs: Shape) -> Window:
        """Return the widest of its windows."""
        axes = [adaptive_windows(*axis) for axis in zip(inputs[0][1:], self.size, strict=True)]
        kernel = tuple(max(end - start for start, end in windows) for windows in axes)
        stride = tuple(windows[1][0] if len(windows) > 1 else 1 for windows in axes)
        return Window(kernel, stride, (0,) * len(kernel))


class AdaptiveAvgPool(AdaptivePool, frozen=True, kw_only=True):
    """The mean over each window."""


class AdaptiveMaxPool(AdaptivePool, frozen=True, kw_only=True):
    """The largest value in each window."""

"""Normalisation of each image by itself: over groups of channels, or over trailing axes."""

from __future__ import annotations

from typing import ClassVar

from striate.design.init import Constant, Init
from striate.design.layer import Layer, Parameter, Shape


class GroupNorm(Layer, frozen=True, kw_only=True):
    """Normalise each group of channels over its channels and places, then scale and shift.

    Args:
        groups: how many; None is one for each channel, which is instance normalisation.
        eps: added to the variance.
        affine: whether scale and shift of each channel are trained.
        weight_init, bias_init: how scale and shift start.

    Input shape: (channels, *space)
    Output shape: the same.

    Source: Wu and He, "Group Normalization", ECCV 2018; Ulyanov et al. 2016 for instances.
    """

    counted: ClassVar[bool] = True

    groups: int | None
    eps: float = 1e-5
    affine: bool = True
    weight_init: Init = Constant(value=1.0)
    bias_init: Init = Constant(value=0.0)

    def output(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        if inputs[0][0] % (self.groups or 1):
            raise self.refuse(
                f"expected channels divisible by groups={self.groups}, received {inputs[0][0]}"
            )
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return scale and shift, (channels,) each."""
        if not self.affine or self.shares:
            return ()
        shape = (inputs[0][0],)
        return (
            self.own("weight", shape, "scale", self.weight_init),
            self.own("bias", shape, "shift", self.bias_init),
        )


class LayerNorm(Layer, frozen=True, kw_only=True):
    """Normalise over the last axes of each image, then scale and shift each element of them.

    Args:
        axes: how many trailing axes.
        eps: added to the variance.
        affine: whether there is a scale.
        bias: whether there is a shift as well.
        weight_init, bias_init: how scale and shift start.

    Input shape: any.
    Output shape: the same.

    Source: Ba, Kiros, Hinton, "Layer Normalization", 2016.
    """

    counted: ClassVar[bool] = True

    axes: int = 1
    eps: float = 1e-5
    affine: bool = True
    bias: bool = True
    weight_init: Init = Constant(value=1.0)
    bias_init: Init = Constant(value=0.0)

    def output(self, *inputs: Shape) -> Shape:
        """Return the input's shape."""
        if not 1 <= self.axes <= len(inputs[0]):
            raise self.refuse(f"expected at least {self.axes} axes, received shape {inputs[0]}")
        return inputs[0]

    def parameters(self, *inputs: Shape) -> tuple[Parameter, ...]:
        """Return scale and shift, shaped as the last axes."""
        if not self.affine or self.shares:
            return ()
        shape = inputs[0][-self.axes :]
        scale = self.own("weight", shape, "scale", self.weight_init)
        shift = self.own("bias", shape, "shift", self.bias_init)
        return (scale, shift) if self.bias else (scale,)

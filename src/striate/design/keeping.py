"""What torch keeps of each kind of layer for the way back: the table that the forecast reads.

It is a fact about torch's autograd and these modules, not about the layers, hence a table and no
method of the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import NamedTuple

from striate.design import classical, linear, local, moving, pointwise, pooling, wiring
from striate.design.arithmetic import Padding, volume
from striate.design.layer import Layer, Shape

_INDEX = 8  # bytes of a position, as max pooling keeps it


class Kept(NamedTuple):
    """What a layer holds on to between its way forward and its way back.

    Args:
        inputs: whether it keeps what it read.
        output: whether it keeps what it gave.
        copies: further numbers an image, of the value's own width.
        bytes: further bytes an image, whatever the precision.
        once: further bytes a step.
    """

    inputs: bool = False
    output: bool = False
    copies: int = 0
    bytes: int = 0
    once: int = 0


@singledispatch
def kept(layer: Layer, *shapes: Shape) -> Kept:
    """Return what torch keeps of a layer; unless registered below, what it read."""
    return Kept(inputs=True)


@kept.register
def _(layer: linear.Conv, *shapes: Shape) -> Kept:
    once = 0
    if layer.connections is not None:  # a weight with zeros in it, and where its kernels go
        pairs = sum(map(len, layer.connections))
        once = 4 * layer.features * shapes[0][0] * volume(layer.kernel) + 2 * _INDEX * pairs
    if all(before == after for before, after in layer.padding):
        return Kept(inputs=True, once=once)
    # torch pads alike at both ends, or by a copy
    return Kept(copies=_padded(shapes[0], layer.padding), once=once)


def _padded(shape: Shape, padding: Sequence[Padding]) -> int:
    """Return the elements of a value with its padding."""
    channels, *space = shape
    sizes = (size + sum(ends) for size, ends in zip(space, padding, strict=True))
    return channels * volume(tuple(sizes))


@kept.register
def _(layer: local.Local, *shapes: Shape) -> Kept:
    places = volume(layer.output(*shapes)[1:])
    return Kept(copies=places * shapes[0][0] * volume(layer.kernel))  # the windows, side by side


@kept.register
def _(layer: classical.Subsample, *shapes: Shape) -> Kept:
    return Kept(inputs=True, copies=volume(layer.output(*shapes)))  # the sums


@kept.register
def _(layer: classical.Rbf, *shapes: Shape) -> Kept:
    return Kept(copies=layer.features * volume(shapes[0]))  # the differences


@kept.register
def _(layer: classical.SCells, *shapes: Shape) -> Kept:
    places = volume(layer.output(*shapes)[1:])
    copies = (3 * layer.features + 1) * places + _padded(shapes[0], layer.padding)
    synapses = layer.features * shapes[0][0] * volume(layer.kernel)
    return Kept(inputs=True, copies=copies, once=4 * synapses)


@kept.register
def _(layer: classical.CCells, *shapes: Shape) -> Kept:
    planes, *space = layer.output(*shapes)
    return Kept(copies=(3 * planes + 1) * volume(tuple(space)) + _padded(shapes[0], layer.padding))


@kept.register
def _(layer: pointwise.BatchNorm, *shapes: Shape) -> Kept:
    return Kept(inputs=True, once=2 * 4 * shapes[0][0])  # mean and 1 / standard deviation


@kept.register(pointwise.ReLU)
@kept.register(pointwise.Sigmoid)
@kept.register(pointwise.Softmax)
def _(layer: Layer, *shapes: Shape) -> Kept:
    return Kept(output=True)


@kept.register
def _(layer: pointwise.Tanh, *shapes: Shape) -> Kept:
    scaled = (layer.outer, layer.inner) != (1.0, 1.0)
    return Kept(copies=volume(shapes[0])) if scaled else Kept(output=True)


@kept.register(moving.Reshape)
@kept.register(moving.Permute)
@kept.register(moving.Slice)
@kept.register(wiring.Add)
@kept.register(wiring.Concat)
@kept.register(wiring.Flatten)
@kept.register(wiring.Identity)
@kept.register(wiring.Pad)
@kept.register(wiring.Shortcut)
def _(layer: Layer, *shapes: Shape) -> Kept:
    return Kept()


@kept.register
def _(layer: pooling.MaxPool, *shapes: Shape) -> Kept:
    return Kept(inputs=True, bytes=_INDEX * volume(layer.output(*shapes)))


@kept.register
def _(layer: pooling.AdaptiveMaxPool, *shapes: Shape) -> Kept:
    return Kept(inputs=True, bytes=_INDEX * volume(layer.output(*shapes)))


@kept.register
def _(layer: pooling.AdaptiveAvgPool, *shapes: Shape) -> Kept:
    return Kept(inputs=max(layer.size) > 1)  # global pooling is a mean


@kept.register
def _(layer: pointwise.Dropout, *shapes: Shape) -> Kept:
    return Kept(copies=volume(shapes[0])) if layer.p else Kept()


@kept.register
def _(layer: pointwise.Noise, *shapes: Shape) -> Kept:
    return Kept(copies=volume(shapes[0])) if layer.amount and layer.form != "additive" else Kept()


@kept.register
def _(layer: pointwise.LRN, *shapes: Shape) -> Kept:
    return Kept(inputs=True, copies=3 * volume(shapes[0]))

"""Lasagne: layers on Theano. Its convolution flips filters unless told not to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from striate.design.arithmetic import same_padding
from striate.design.layer import Layer, Shape
from striate.design.linear import Conv, Linear
from striate.design.local import Local
from striate.design.network import Network
from striate.design.pointwise import (
    LRN,
    Activation,
    Affine,
    BatchNorm,
    Dropout,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from striate.design.pooling import AdaptiveMaxPool, AdaptivePool, AvgPool, MaxPool, Pool
from striate.design.spelling.said import Said, ends, even, lacking, scalar, variable
from striate.design.wiring import Add, Concat, Flatten, Identity, Pad

_FLIP = (
    "flip_filters=False: networks compute cross-correlation; Lasagne's default True flips the "
    "filters, as convolution is defined."
)


def write(network: Network, layers: tuple[Layer, ...]) -> Said:
    """Write one statement a layer, each given the layers it reads."""
    read, _ = ends(network, layers)
    shapes = network.shapes()
    lines = []
    if len(layers) > 1:
        lines = [
            f"{variable(name)} = InputLayer((None, {', '.join(map(str, shapes[name]))}))"
            for name in read
        ]
    notes: list[str] = []
    for layer in layers:
        said = lasagne(layer, *network.input_shapes(layer))
        notes += said.notes
        given = [variable(name) for name in layer.inputs]
        source = given[0] if len(given) == 1 else f"[{', '.join(given)}]"
        if said.before:
            source = said.before.format(source)
        if said.code:
            lines.append(f"{variable(layer.name)} = {said.code.format(source)}")
    return Said("\n".join(lines), tuple(notes))


@singledispatch
def lasagne(layer: Layer, *shapes: Shape) -> Said:
    """Return the call that makes a record's layer; `{}` stands for what it reads."""
    return lacking(layer, "Lasagne")


@lasagne.register
def _(layer: Conv, *shapes: Shape) -> Said:
    axes, notes, before = len(layer.kernel), [_FLIP], ""
    words = [f"num_filters={layer.features}", f"filter_size={_tuple(layer.kernel)}"]
    pads = tuple(start for start, _ in layer.padding)
    dilated = max(layer.dilation) > 1
    if not even(layer.padding) or (dilated and any(pads)):
        before, pads = f"PadLayer({{}}, width={list(layer.padding)})", (0,) * axes
        notes.append(f"{layer.name}: this padding is a PadLayer before it.")
    if dilated:
        words.append(f"dilation={_tuple(layer.dilation)}")
        if max(layer.stride) > 1:
            notes.append(f"{layer.name}: Lasagne dilates with stride 1 only.")
    else:
        words += [f"stride={_tuple(layer.stride)}", f"pad={_tuple(pads)}"]
    if layer.groups > 1:
        words.append(f"num_groups={layer.groups}")
    if layer.connections is not None:
        notes.append(f"{layer.name}: Lasagne has no table of connections; this sees every channel.")
    words += {"none": ["b=None"], "position": ["untie_biases=True"]}.get(layer.bias, [])
    words += ["nonlinearity=None", "flip_filters=False"]
    name = f"{'Dilated' if dilated else ''}Conv{axes}DLayer"
    return Said(f"{name}({{}}, {', '.join(words)})", tuple(notes), before)


@lasagne.register
def _(layer: Linear, *shapes: Shape) -> Said:
    bias = "" if layer.bias else ", b=None"
    return Said(f"DenseLayer({{}}, num_units={layer.features}{bias}, nonlinearity=None)")


@lasagne.register
def _(layer: Local, *shapes: Shape) -> Said:
    axes = len(layer.kernel)
    same = all(pair == same_padding(k) for pair, k in zip(layer.padding, layer.kernel, strict=True))
    if axes == 3 or max(layer.stride) > 1 or not same:
        return lacking(layer, "Lasagne", "its own has stride 1 and keeps the size.")
    bias = "untie_biases=True" if layer.bias else "b=None"
    words = [f"num_filters={layer.features}", f"filter_size={_tuple(layer.kernel)}"]
    words += ["pad='same'", bias, "nonlinearity=None", "flip_filters=False"]
    return Said(f"LocallyConnected{axes}DLayer({{}}, {', '.join(words)})", (_FLIP,))


@lasagne.register(MaxPool)
@lasagne.register(AvgPool)
def _(layer: Pool, *shapes: Shape) -> Said:
    axes, before, notes = len(layer.kernel), "", []
    pads = tuple(start for start, _ in layer.padding)
    if not even(layer.padding):
        before, pads = f"PadLayer({{}}, width={list(layer.padding)})", (0,) * axes
        notes.append(f"{layer.name}: uneven padding is a PadLayer of zeros before it.")
    mode = "max"
    if isinstance(layer, AvgPool):
        mode = "average_inc_pad" if layer.count_padding else "average_exc_pad"
    if layer.ceil and any(pads):
        notes.append(f"{layer.name}: Theano rounds up only without padding.")
    words = [
        f"pool_size={_tuple(layer.kernel)}",
        f"stride={_tuple(layer.stride)}",
        f"pad={_tuple(pads)}",
        f"ignore_border={not layer.ceil}",
        f"mode='{mode}'",
    ]
    return Said(f"Pool{axes}DLayer({{}}, {', '.join(words)})", tuple(notes), before)


@lasagne.register
def _(layer: AdaptivePool, *shapes: Shape) -> Said:
    which = "max" if isinstance(layer, AdaptiveMaxPool) else "mean"
    if set(layer.size) == {1}:
        note = f"{layer.name}: GlobalPoolLayer also drops the places: (channels,)."
        return Said(f"GlobalPoolLayer({{}}, pool_function=T.{which})", (note,))
    windows = [divmod(have, want) for have, want in zip(shapes[0][1:], layer.size, strict=True)]
    if any(rest for _, rest in windows):
        return lacking(layer, "Lasagne", "its windows differ in size.")
    mode = "max" if which == "max" else "average_exc_pad"
    size = _tuple([size for size, _ in windows])
    return Said(f"Pool{len(windows)}DLayer({{}}, pool_size={size}, mode='{mode}')")


@lasagne.register
def _(layer: BatchNorm, *shapes: Shape) -> Said:
    if not layer.running:
        return lacking(layer, "Lasagne")
    affine = "" if layer.affine else ", beta=None, gamma=None"
    return Said(f"BatchNormLayer({{}}, epsilon={layer.eps:g}, alpha={layer.momentum:g}{affine})")


@lasagne.register
def _(layer: Affine, *shapes: Shape) -> Said:
    return Said("BiasLayer(ScaleLayer({}))")


@lasagne.register
def _(layer: LRN, *shapes: Shape) -> Said:
    note = f"{layer.name}: Lasagne's alpha is not divided by n: {layer.alpha:g} / {layer.size}."
    return Said(
        f"LocalResponseNormalization2DLayer({{}}, alpha={layer.alpha / layer.size:g}, "
        f"k={layer.k:g}, beta={layer.beta:g}, n={layer.size})",
        (note,),
    )


@lasagne.register
def _(layer: Activation, *shapes: Shape) -> Said:
    name = {ReLU: "rectify", Sigmoid: "sigmoid", Softmax: "softmax"}.get(type(layer), "")
    if isinstance(layer, LeakyReLU):
        name = f"LeakyRectify({layer.slope:g})"
    if isinstance(layer, Tanh):
        plain = layer.inner == layer.outer == 1.0
        name = "tanh" if plain else f"ScaledTanH({layer.inner:g}, {layer.outer:g})"
    if not name:
        return lacking(layer, "Lasagne")
    return Said(f"NonlinearityLayer({{}}, nonlinearity=lasagne.nonlinearities.{name})")


@lasagne.register
def _(layer: Dropout, *shapes: Shape) -> Said:
    return Said(f"DropoutLayer({{}}, p={layer.p:g})")


@lasagne.register
def _(layer: Flatten, *shapes: Shape) -> Said:
    return Said("FlattenLayer({})")


@lasagne.register
def _(layer: Identity, *shapes: Shape) -> Said:
    return Said("{}")


@lasagne.register
def _(layer: Pad, *shapes: Shape) -> Said:
    if layer.mode != "zero":
        return lacking(layer, "Lasagne", f"it pads with a constant only, not with {layer.mode}.")
    return Said(f"PadLayer({{}}, width={list(layer.padding)})")


@lasagne.register
def _(layer: Add, *shapes: Shape) -> Said:
    return Said("ElemwiseSumLayer({})")


@lasagne.register
def _(layer: Concat, *shapes: Shape) -> Said:
    return Said("ConcatLayer({}, axis=1)")


def _tuple(sizes: Sequence[int]) -> str:
    return scalar(sizes)

"""Lua's Torch7, as the lectures have it: nn.SpatialConvolution(nInputPlane, nOutputPlane, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from striate.design.classical import Subsample
from striate.design.layer import Layer, Shape
from striate.design.linear import Conv, Linear
from striate.design.local import Local
from striate.design.network import Network
from striate.design.pointwise import (
    LRN,
    Affine,
    BatchNorm,
    Dropout,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    Softmax,
    Tanh,
)
from striate.design.pooling import AdaptiveMaxPool, AdaptivePool, AvgPool, MaxPool, Pool
from striate.design.spelling.said import Said, ends, even, is_chain, lacking, variable
from striate.design.wiring import Add, Concat, Flatten, Identity, Pad


def write(network: Network, layers: tuple[Layer, ...]) -> Said:
    """Write one module, an nn.Sequential for a chain, or an nngraph for a graph."""
    said = [torch7(layer, *network.input_shapes(layer)) for layer in layers]
    notes = tuple(note for each in said for note in each.notes)
    if len(layers) == 1 and not said[0].before:
        return Said(f"module = {said[0].code}" if said[0].code else "", notes)
    if is_chain(layers):
        lines = ["net = nn.Sequential()"]
        for layer, each in zip(layers, said, strict=True):
            lines += [f"net:add({code})" for code in (each.before, each.code) if code]
            lines[-1] += f"  -- {layer.name}"
        return Said("\n".join(lines), notes)
    read, left = ends(network, layers)
    lines = ["require 'nngraph'", *(f"local {variable(name)} = nn.Identity()()" for name in read)]
    for layer, each in zip(layers, said, strict=True):
        inputs = [variable(name) for name in layer.inputs]
        given = inputs[0] if len(inputs) == 1 else f"{{{', '.join(inputs)}}}"
        given = f"{each.before}({given})" if each.before else given
        lines.append(f"local {variable(layer.name)} = {each.code or 'nn.Identity()'}({given})")
    lines.append(
        f"net = nn.gModule({{{', '.join(map(variable, read))}}}, "
        f"{{{', '.join(map(variable, left))}}})"
    )
    return Said("\n".join(lines), notes)


@singledispatch
def torch7(layer: Layer, *shapes: Shape) -> Said:
    """Return the Torch7 module for a record."""
    return lacking(layer, "Torch7")


@torch7.register
def _(layer: Conv, *shapes: Shape) -> Said:
    channels, notes, before = shapes[0][0], [], ""
    if layer.bias == "position":
        notes.append(f"{layer.name}: a bias for each position follows as nn.Add.")
    padding = tuple(start for start, _ in layer.padding)
    if not even(layer.padding):
        before, padding = _padding(layer.padding), (0,) * len(padding)
    if len(layer.kernel) == 1:
        notes.append(f"{layer.name}: TemporalConvolution reads (time, channels) and pads nothing.")
        numbers = [channels, layer.features, layer.kernel[0], layer.stride[0]]
        return Said(f"nn.TemporalConvolution({_list(numbers)})", tuple(notes))
    numbers = [channels, layer.features, *_xyz(layer.kernel), *_xyz(layer.stride), *_xyz(padding)]
    kind = "Spatial" if len(layer.kernel) == 2 else "Volumetric"
    name = f"nn.{kind}Convolution"
    if max(layer.dilation) > 1:
        name, numbers = f"nn.{kind}DilatedConvolution", [*numbers, *_xyz(layer.dilation)]
    if layer.groups > 1:
        name, numbers = f"cudnn.{kind}Convolution", [*numbers, layer.groups]
        notes.append(f"{layer.name}: groups exist in cudnn.torch only, not in nn.")
    if layer.connections is not None:
        pairs = ", ".join(
            f"{{{source + 1}, {to + 1}}}"
            for to, sources in enumerate(layer.connections)
            for source in sources
        )
        size = _list([*_xyz(layer.kernel), *_xyz(layer.stride)])
        return Said(
            f"nn.SpatialConvolutionMap(torch.Tensor{{{pairs}}}, {size})", tuple(notes), before
        )
    bias = ":noBias()" if layer.bias == "none" else ""
    return Said(f"{name}({_list(numbers)}){bias}", tuple(notes), before)


@torch7.register
def _(layer: Linear, *shapes: Shape) -> Said:
    bias = "" if layer.bias else ", false"
    return Said(f"nn.Linear({shapes[0][0]}, {layer.features}{bias})")


@torch7.register(MaxPool)
@torch7.register(AvgPool)
def _(layer: Pool, *shapes: Shape) -> Said:
    if len(layer.kernel) == 1:
        return lacking(layer, "Torch7", "TemporalMaxPooling pads nothing.")
    before, padding = "", tuple(start for start, _ in layer.padding)
    notes: tuple[str, ...] = ()
    if not even(layer.padding):
        before, padding = _padding(layer.padding), (0,) * len(padding)
        notes = (f"{layer.name}: uneven padding is a layer of zeros before it.",)
    kind = "Spatial" if len(layer.kernel) == 2 else "Volumetric"
    what = "Max" if isinstance(layer, MaxPool) else "Average"
    numbers = [*_xyz(layer.kernel), *_xyz(layer.stride), *_xyz(padding)]
    ceil = ":ceil()" if layer.ceil else ""
    counts = isinstance(layer, AvgPool) and not layer.count_padding
    exclude = ":setCountExcludePad()" if counts else ""
    return Said(f"nn.{kind}{what}Pooling({_list(numbers)}){ceil}{exclude}", notes, before)


@torch7.register
def _(layer: Subsample, *shapes: Shape) -> Said:
    if len(layer.kernel) != 2:
        return lacking(layer, "Torch7")
    before = _padding(layer.padding) if any(map(any, layer.padding)) else ""
    numbers = [shapes[0][0], *_xyz(layer.kernel), *_xyz(layer.stride)]
    return Said(f"nn.SpatialSubSampling({_list(numbers)})", (), before)


@torch7.register
def _(layer: Local, *shapes: Shape) -> Said:
    if len(layer.kernel) != 2:
        return lacking(layer, "Torch7")
    (channels, *space), before = shapes[0], ""
    padding = tuple(start for start, _ in layer.padding)
    if not even(layer.padding):
        before, padding = _padding(layer.padding), (0,) * len(padding)
        space = [size + sum(ends) for size, ends in zip(space, layer.padding, strict=True)]
    numbers = [channels, layer.features, *_xyz(tuple(space)), *_xyz(layer.kernel)]
    numbers += [*_xyz(layer.stride), *_xyz(padding)]
    notes = () if layer.bias else (f"{layer.name}: Torch7 adds a bias here.",)
    return Said(f"nn.SpatialConvolutionLocal({_list(numbers)})", notes, before)


@torch7.register
def _(layer: AdaptivePool, *shapes: Shape) -> Said:
    what = "Max" if isinstance(layer, AdaptiveMaxPool) else "Average"
    return Said(f"nn.SpatialAdaptive{what}Pooling({_list(_xyz(layer.size))})")


@torch7.register
def _(layer: BatchNorm, *shapes: Shape) -> Said:
    if not layer.running:
        return lacking(layer, "Torch7")
    kind = {1: "", 3: "Spatial", 4: "Volumetric"}.get(len(shapes[0]), "")
    affine = "" if layer.affine else ", false"
    return Said(
        f"nn.{kind}BatchNormalization({shapes[0][0]}, {layer.eps:g}, {layer.momentum:g}{affine})"
    )


@torch7.register
def _(layer: Affine, *shapes: Shape) -> Said:
    sizes = _list([1, shapes[0][0], *[1] * (len(shapes[0]) - 1)])
    return Said(f"nn.CAdd({sizes})", (), f"nn.CMul({sizes})")


@torch7.register
def _(layer: LRN, *shapes: Shape) -> Said:
    numbers = f"{layer.size}, {layer.alpha:g}, {layer.beta:g}, {layer.k:g}"
    return Said(f"nn.SpatialCrossMapLRN({numbers})")


@torch7.register
def _(layer: ReLU, *shapes: Shape) -> Said:
    return Said("nn.ReLU(true)")


@torch7.register
def _(layer: ReLU6, *shapes: Shape) -> Said:
    return Said("nn.ReLU6(true)")


@torch7.register
def _(layer: LeakyReLU, *shapes: Shape) -> Said:
    return Said(f"nn.LeakyReLU({layer.slope:g}, true)")


@torch7.register
def _(layer: Tanh, *shapes: Shape) -> Said:
    if layer.outer == layer.inner == 1.0:
        return Said("nn.Tanh()")
    return Said(
        f"nn.Sequential():add(nn.MulConstant({layer.inner:g})):add(nn.Tanh())"
        f":add(nn.MulConstant({layer.outer:g}))"
    )


@torch7.register
def _(layer: Sigmoid, *shapes: Shape) -> Said:
    return Said("nn.Sigmoid()")


@torch7.register
def _(layer: Softmax, *shapes: Shape) -> Said:
    return Said("nn.SoftMax()" if len(shapes[0]) == 1 else "nn.SpatialSoftMax()")


@torch7.register
def _(layer: Dropout, *shapes: Shape) -> Said:
    return Said(f"nn.Dropout({layer.p:g})")


@torch7.register
def _(layer: Flatten, *shapes: Shape) -> Said:
    return Said(f"nn.View(-1):setNumInputDims({len(shapes[0])})")


@torch7.register
def _(layer: Identity, *shapes: Shape) -> Said:
    return Said("nn.Identity()")


@torch7.register
def _(layer: Pad, *shapes: Shape) -> Said:
    kind = {"zero": "ZeroPadding", "reflect": "ReflectionPadding", "edge": "ReplicationPadding"}
    return Said(_padding(layer.padding, kind[layer.mode]))


@torch7.register
def _(layer: Add, *shapes: Shape) -> Said:
    return Said("nn.CAddTable()")


@torch7.register
def _(layer: Concat, *shapes: Shape) -> Said:
    return Said(f"nn.JoinTable(1, {len(shapes[0])})")


def _padding(padding: Sequence[tuple[int, int]], kind: str = "ZeroPadding") -> str:
    """Return padding as (left, right, top, bottom)."""
    return f"nn.Spatial{kind}({_list([end for pair in reversed(padding) for end in pair])})"


def _xyz(sizes: Sequence[int]) -> list[int]:
    """Return sizes as Torch7 orders them: width before height, time first of all."""
    return [sizes[0], *reversed(sizes[1:])] if len(sizes) == 3 else list(reversed(sizes))


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))

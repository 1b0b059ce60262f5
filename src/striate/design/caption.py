"""A layer in a few words, and the family by which it is coloured; what tables and drawings show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Literal

from striate.design.arithmetic import Padding
from striate.design.classical import CCells, Rbf, SCells, Subsample
from striate.design.elementwise import (
    ChannelDropout,
    Combine,
    Elementwise,
    LogSoftmax,
    Multiply,
    PReLU,
)
from striate.design.fit import spell_padding
from striate.design.grouping import GroupNorm, LayerNorm
from striate.design.layer import Layer
from striate.design.linear import Conv, Linear, by
from striate.design.local import Local
from striate.design.moving import LinearLast, Permute, Reduce, Reshape, Resize, Slice
from striate.design.pointwise import LRN, Activation, Affine, BatchNorm, Dropout, LeakyReLU, Noise
from striate.design.pooling import AdaptivePool, MaxPool, Pool
from striate.design.transposed import ConvTranspose
from striate.design.wiring import Add, Concat, Flatten, Identity, Opaque, Pad, Shortcut

Kin = Literal["conv", "fc", "pool", "norm", "activation", "dropout", "join", "shape", "opaque"]


@singledispatch
def caption(layer: Layer) -> str:
    """Return a layer's kind and attributes in a few words: `conv 7x7 64 /2 pad 3`."""
    return str(type(layer).__struct_config__.tag).replace("_", " ")


@singledispatch
def family(layer: Layer) -> Kin:
    """Return the family of kinds that a layer is drawn as."""
    return "opaque"


@caption.register
def _(layer: Conv) -> str:
    words = ["conv", by(layer.kernel), str(layer.features), *_window(layer.stride, layer.padding)]
    if max(layer.dilation) > 1:
        words.append(f"dilated {_short(layer.dilation)}")
    if layer.groups > 1:
        words.append(f"{layer.groups} groups")
    if layer.connections is not None:
        words.append("by table")
    return " ".join(words)


@caption.register
def _(layer: ConvTranspose) -> str:
    words = ["conv transposed", by(layer.kernel), str(layer.features)]
    return " ".join([*words, *_window(layer.stride, layer.padding)])


@caption.register
def _(layer: Linear) -> str:
    return f"fc {layer.features}"


@caption.register
def _(layer: Local) -> str:
    window = _window(layer.stride, layer.padding)
    return " ".join(["local", by(layer.kernel), str(layer.features), *window])


@caption.register
def _(layer: Rbf) -> str:
    return f"distances to {layer.features} {'fixed ' if layer.fixed else ''}codes"


@caption.register
def _(layer: Subsample) -> str:
    return " ".join(["subsample", by(layer.kernel), *_window(layer.stride, layer.padding)])


@caption.register
def _(layer: SCells) -> str:
    window = _window(layer.stride, layer.padding)
    return " ".join(["s-cells", by(layer.kernel), str(layer.features), *window])


@caption.register
def _(layer: CCells) -> str:
    return " ".join(["c-cells", by(layer.kernel), *_window(layer.stride, layer.padding)])


@caption.register
def _(layer: Pool) -> str:
    kind = "max pool" if isinstance(layer, MaxPool) else "avg pool"
    return " ".join([kind, by(layer.kernel), *_window(layer.stride, layer.padding)])


@caption.register
def _(layer: AdaptivePool) -> str:
    kind = "max pool" if "max" in str(type(layer).__struct_config__.tag) else "avg pool"
    return f"global {kind}" if set(layer.size) == {1} else f"{kind} to {by(layer.size)}"


@caption.register
def _(layer: LRN) -> str:
    return f"response norm {layer.size}"


@caption.register
def _(layer: Dropout) -> str:
    return f"dropout {layer.p:g}"


@caption.register
def _(layer: Noise) -> str:
    return f"{layer.form} {'noise' if layer.form == 'additive' else 'dropout'} {layer.amount:g}"


@caption.register
def _(layer: LeakyReLU) -> str:
    return f"leaky relu {layer.slope:g}"


@caption.register
def _(layer: Add) -> str:
    return f"add {len(layer.inputs)}" if len(layer.inputs) > 2 else "add"


@caption.register
def _(layer: Concat) -> str:
    return f"concat {len(layer.inputs)}"


@caption.register
def _(layer: Pad) -> str:
    return f"pad {_paddings(layer.padding)}" + (f" {layer.mode}" if layer.mode != "zero" else "")


@caption.register
def _(layer: Shortcut) -> str:
    return " ".join(["shortcut", str(layer.features), *_window(layer.stride, ())])


@caption.register
def _(layer: Opaque) -> str:
    return f"opaque {layer.op}"


@caption.register
def _(layer: Elementwise) -> str:
    if layer.function == "scale":
        slope, offset = layer.arguments
        return f"{slope:g} x" + (f" {offset:+g}" if offset else "")
    return " ".join([layer.function.replace("_", " "), *(f"{each:g}" for each in layer.arguments)])


@caption.register
def _(layer: ChannelDropout) -> str:
    return f"channel dropout {layer.p:g}"


@caption.register
def _(layer: Combine) -> str:
    return f"{layer.operation} own {by(layer.shape)}"


@caption.register
def _(layer: GroupNorm) -> str:
    return "instance norm" if layer.groups is None else f"group norm {layer.groups}"


@caption.register
def _(layer: LayerNorm) -> str:
    return "layer norm" if layer.axes == 1 else f"layer norm of {layer.axes} axes"


@caption.register
def _(layer: LinearLast) -> str:
    return f"fc {layer.features} at each place"


@caption.register
def _(layer: Reshape) -> str:
    made = layer.shape[: len(layer.shape) - layer.kept]
    return f"reshape {by(made)}" + (f", last {layer.kept} kept" if layer.kept else "")


@caption.register
def _(layer: Permute) -> str:
    return f"permute axes {' '.join(map(str, layer.order))} (without batch)"


@caption.register
def _(layer: Slice) -> str:
    parts = (
        f"{start or ''}:{'' if stop is None else stop}" + (f":{step}" if step > 1 else "")
        for start, stop, step in layer.ranges
    )
    return f"slice {', '.join(parts)}"


@caption.register
def _(layer: Resize) -> str:
    to = f"to {by(layer.size)}" if layer.size else "x".join(f"{each:g}" for each in layer.scale)
    return f"resize {layer.mode} {to}"


@caption.register
def _(layer: Reduce) -> str:
    return f"{layer.function} over axes {' '.join(map(str, layer.axes))}"


for _kind, _kin in (
    (Elementwise, "activation"),
    (PReLU, "activation"),
    (LogSoftmax, "activation"),
    (GroupNorm, "norm"),
    (LayerNorm, "norm"),
    (Combine, "norm"),
    (ChannelDropout, "dropout"),
    (Multiply, "join"),
    (LinearLast, "fc"),
    (Reshape, "shape"),
    (Permute, "shape"),
    (Slice, "shape"),
    (Resize, "pool"),
    (Reduce, "pool"),
    (Conv, "conv"),
    (ConvTranspose, "conv"),
    (Linear, "fc"),
    (Local, "conv"),
    (Rbf, "fc"),
    (SCells, "conv"),
    (CCells, "pool"),
    (Pool, "pool"),
    (AdaptivePool, "pool"),
    (BatchNorm, "norm"),
    (LRN, "norm"),
    (Affine, "norm"),
    (Activation, "activation"),
    (Dropout, "dropout"),
    (Noise, "dropout"),
    (Add, "join"),
    (Concat, "join"),
    (Flatten, "shape"),
    (Identity, "shape"),
    (Pad, "shape"),
    (Shortcut, "shape"),
):
    family.register(_kind, lambda layer, _kin=_kin: _kin)


def _window(stride: Sequence[int], padding: Sequence[Padding]) -> list[str]:
    """Spell stride and padding where they are not 1 and 0."""
    words = [f"/{_short(stride)}"] if max(stride) > 1 else []
    return [*words, f"pad {_paddings(padding)}"] if any(map(any, padding)) else words


def _short(sizes: Sequence[int]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else by(tuple(sizes))


def _paddings(padding: Sequence[Padding]) -> str:
    spelled = [spell_padding(pair) for pair in padding]
    return spelled[0] if len(set(spelled)) == 1 else "x".join(spelled)

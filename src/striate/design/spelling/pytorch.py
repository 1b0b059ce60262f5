"""PyTorch: a module for each record, an nn.Sequential for a chain, a class for a graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from striate.design.layer import Layer, Shape
from striate.design.linear import Conv, Linear
from striate.design.network import Network
from striate.design.pointwise import LRN, Activation, BatchNorm, Dropout, LeakyReLU, Softmax, Tanh
from striate.design.pooling import AdaptiveMaxPool, AdaptivePool, AvgPool, MaxPool, Pool
from striate.design.spelling.said import Said, ends, even, is_chain, lacking, scalar, variable
from striate.design.wiring import Add, Concat, Flatten, Identity, Pad

_ACTIVATIONS = {
    "relu": "nn.ReLU()",
    "relu6": "nn.ReLU6()",
    "sigmoid": "nn.Sigmoid()",
    "gelu": "nn.GELU()",
    "silu": "nn.SiLU()",
}


def write(network: Network, layers: tuple[Layer, ...]) -> Said:
    """Write one module, a chain as nn.Sequential, or a graph as a class with its forward."""
    said = [pytorch(layer, *network.input_shapes(layer)) for layer in layers]
    notes = tuple(note for each in said for note in each.notes)
    if len(layers) == 1 and not said[0].before:
        return Said(said[0].code.format(*map(variable, layers[0].inputs)), notes)
    if is_chain(layers) and all("{" not in each.code for each in said):
        lines = ["net = nn.Sequential("]
        for layer, each in zip(layers, said, strict=True):
            lines += [f"    {code}," for code in (each.before, each.code) if code]
            lines[-1] += f"  # {layer.name}"
        return Said("\n".join([*lines, ")"]), notes)
    return Said("\n".join(_class(network, layers, said)), notes)


def _class(network: Network, layers: Sequence[Layer], said: Sequence[Said]) -> list[str]:
    read, left = ends(network, layers)
    made, steps = [], []
    for layer, each in zip(layers, said, strict=True):
        name, given = variable(layer.name), [variable(value) for value in layer.inputs]
        if "{" in each.code:
            steps.append(f"{name} = {each.code.format(*given)}")
            continue
        code = f"nn.Sequential({each.before}, {each.code})" if each.before else each.code
        made.append(f"self.{name} = {code or 'nn.Identity()'}")
        steps.append(f"{name} = self.{name}({', '.join(given)})")
    return [
        "class Net(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in made),
        "",
        f"    def forward(self, {', '.join(map(variable, read))}):",
        *(f"        {line}" for line in steps),
        f"        return {', '.join(map(variable, left))}",
    ]


@singledispatch
def pytorch(layer: Layer, *shapes: Shape) -> Said:
    """Return the module of a record, or an expression with `{}` for each value it reads."""
    return lacking(layer, "PyTorch", "striate.layers has one.")


@pytorch.register
def _(layer: Conv, *shapes: Shape) -> Said:
    axes, notes, before = len(layer.kernel), [], ""
    words = [f"{shapes[0][0]}, {layer.features}, {scalar(layer.kernel)}"]
    if max(layer.stride) > 1:
        words.append(f"stride={scalar(layer.stride)}")
    if not even(layer.padding):
        before = _zeros(layer.padding)
        notes.append(f"{layer.name}: nn.Conv{axes}d pads alike on both sides; zeros come before.")
    elif any(map(any, layer.padding)):
        words.append(f"padding={scalar([start for start, _ in layer.padding])}")
    if max(layer.dilation) > 1:
        words.append(f"dilation={scalar(layer.dilation)}")
    if layer.groups > 1:
        words.append(f"groups={layer.groups}")
    if layer.bias != "channel":
        words.append("bias=False")
    if layer.bias == "position":
        notes.append(f"{layer.name}: PyTorch has no bias for each position; add a parameter.")
    if layer.connections is not None:
        notes.append(f"{layer.name}: PyTorch has no table of connections; this sees every channel.")
    return Said(f"nn.Conv{axes}d({', '.join(words)})", tuple(notes), before)


@pytorch.register
def _(layer: Linear, *shapes: Shape) -> Said:
    bias = "" if layer.bias else ", bias=False"
    return Said(f"nn.Linear({shapes[0][0]}, {layer.features}{bias})")


@pytorch.register(MaxPool)
@pytorch.register(AvgPool)
def _(layer: Pool, *shapes: Shape) -> Said:
    axes, before = len(layer.kernel), ""
    notes: tuple[str, ...] = ()
    words = [scalar(layer.kernel), f"stride={scalar(layer.stride)}"]
    if not even(layer.padding):
        before = _zeros(layer.padding)
        notes = (f"{layer.name}: uneven padding is zeros before it.",)
    elif any(map(any, layer.padding)):
        words.append(f"padding={scalar([start for start, _ in layer.padding])}")
    if layer.ceil:
        words.append("ceil_mode=True")
    if isinstance(layer, AvgPool) and not layer.count_padding:
        words.append("count_include_pad=False")
    what = "Max" if isinstance(layer, MaxPool) else "Avg"
    return Said(f"nn.{what}Pool{axes}d({', '.join(words)})", notes, before)


@pytorch.register
def _(layer: AdaptivePool, *shapes: Shape) -> Said:
    what = "Max" if isinstance(layer, AdaptiveMaxPool) else "Avg"
    return Said(f"nn.Adaptive{what}Pool{len(layer.size)}d({scalar(layer.size)})")


@pytorch.register
def _(layer: BatchNorm, *shapes: Shape) -> Said:
    axes = max(len(shapes[0]) - 1, 1)
    affine = "" if layer.affine else ", affine=False"
    affine += "" if layer.running else ", track_running_stats=False"
    started = (
        f"{layer.name}: torch's running statistics keep (1 - {layer.momentum:g})^t of the 0 and 1 "
        "they start with after t steps, Caffe's nothing; momentum=None averages all batches."
    )
    return Said(
        f"nn.BatchNorm{axes}d({shapes[0][0]}, eps={layer.eps:g}, momentum={layer.momentum:g}"
        f"{affine})",
        (started,) if layer.corrected else (),
    )


@pytorch.register
def _(layer: LRN, *shapes: Shape) -> Said:
    return Said(
        f"nn.LocalResponseNorm({layer.size}, alpha={layer.alpha:g}, beta={layer.beta:g}, "
        f"k={layer.k:g})"
    )


@pytorch.register
def _(layer: Activation, *shapes: Shape) -> Said:
    code = _ACTIVATIONS.get(str(type(layer).__struct_config__.tag))
    return Said(code) if code else lacking(layer, "PyTorch")


@pytorch.register
def _(layer: LeakyReLU, *shapes: Shape) -> Said:
    return Said(f"nn.LeakyReLU({layer.slope:g})")


@pytorch.register
def _(layer: Tanh, *shapes: Shape) -> Said:
    if layer.inner == layer.outer == 1.0:
        return Said("nn.Tanh()")
    return Said(f"{layer.outer:.12g} * torch.tanh({layer.inner:.12g} * {{}})")


@pytorch.register
def _(layer: Softmax, *shapes: Shape) -> Said:
    return Said("nn.Softmax(dim=1)")


@pytorch.register
def _(layer: Dropout, *shapes: Shape) -> Said:
    return Said(f"nn.Dropout({layer.p:g})")


@pytorch.register
def _(layer: Flatten, *shapes: Shape) -> Said:
    return Said("nn.Flatten()")


@pytorch.register
def _(layer: Identity, *shapes: Shape) -> Said:
    return Said("nn.Identity()")


@pytorch.register
def _(layer: Pad, *shapes: Shape) -> Said:
    if layer.mode == "zero":
        return Said(_zeros(layer.padding))
    kind = {"reflect": "Reflection", "edge": "Replication"}[layer.mode]
    return Said(f"nn.{kind}Pad{len(layer.padding)}d({_ends(layer.padding)})")


@pytorch.register
def _(layer: Add, *shapes: Shape) -> Said:
    return Said(" + ".join(["{}"] * len(layer.inputs)))


@pytorch.register
def _(layer: Concat, *shapes: Shape) -> Said:
    return Said(f"torch.cat([{', '.join(['{}'] * len(layer.inputs))}], dim=1)")


def _zeros(padding: Sequence[tuple[int, int]]) -> str:
    return f"nn.ZeroPad{len(padding)}d({_ends(padding)})"


def _ends(padding: Sequence[tuple[int, int]]) -> str:
    """Return padding as PyTorch orders it: the last axis first."""
    return f"({', '.join(str(end) for pair in reversed(padding) for end in pair)})"

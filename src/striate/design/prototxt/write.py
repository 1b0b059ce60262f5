"""From a Network to the text of a prototxt, in today's syntax.

What is written reads back as the same network, names and starts included, for the kinds that Caffe
has; a kind that it lacks is refused by name. A dot in a name is written as a slash, a start by fan
in that is not Caffe's Xavier as the numbers it comes to, adaptive pooling as the window it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import NamedTuple

from striate.design.arithmetic import Padding
from striate.design.init import (
    Bilinear,
    Constant,
    FanInUniform,
    He,
    Normal,
    Uniform,
    UnitBall,
    Xavier,
)
from striate.design.layer import Layer, Parameter, Shape
from striate.design.linear import Conv, Linear
from striate.design.network import Network
from striate.design.pointwise import (
    LRN,
    Affine,
    BatchNorm,
    Dropout,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from striate.design.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AdaptivePool,
    AvgPool,
    MaxPool,
    Pool,
)
from striate.design.prototxt.layers import CAFFE_XAVIER
from striate.design.transposed import ConvTranspose
from striate.design.wiring import Add, Concat, Flatten
from striate.errors import DesignError

Lines = list[str]


class Part(NamedTuple):
    """One Caffe layer: its type and the fields between the braces of its parameters.

    Args:
        type: as Caffe spells it.
        param: name of the parameter message, empty for none.
        fields: lines of it.
        suffix: added to the name, for the second of two.
    """

    type: str
    param: str = ""
    fields: Sequence[str] = ()
    suffix: str = ""


def to_prototxt(network: Network) -> str:
    """Return a network as Caffe writes it.

    With one output it is a deploy file, whose output is the last top. With outputs for training it
    ends in a SoftmaxWithLoss for each, the main one last, on the input `label`.

    Raises:
        DesignError: a layer that Caffe has no type for; names it.

    Example:
        >>> from striate.design import Sketch
        >>> net = Sketch("small", (1, 8, 8))
        >>> _ = net.conv("conv1", 2, 3)
        >>> print(to_prototxt(net.finish()).splitlines()[0])
        name: "small"
    """
    outputs = network.outputs
    lines = [f'name: "{_quoted(network.name)}"']
    for each in network.inputs:
        lines += _declared(each.name, each.shape)
    if len(outputs) > 1:
        lines += _declared("label", ())
    for layer in network.layers:
        lines += layer_lines(layer, network.input_shapes(layer), network)
    if len(outputs) > 1:
        for output in (*outputs[1:], outputs[0]):
            lines += [
                "layer {",
                f'  name: "{output.name}"',
                '  type: "SoftmaxWithLoss"',
                f'  bottom: "{_slashed(output.source)}"',
                '  bottom: "label"',
                f'  top: "{output.name}"',
                f"  loss_weight: {output.loss_weight!r}",
                "}",
            ]
    return "\n".join(lines) + "\n"


def layer_lines(layer: Layer, shapes: Sequence[Shape], network: Network | None = None) -> Lines:
    """Return the lines of one layer; two Caffe layers for a batch norm with scale.

    Args:
        layer: the record.
        shapes: of its inputs.
        network: that it is in, for the names of shared parameters.

    Raises:
        DesignError: Caffe has no type for it.
    """
    lines: Lines = []
    name = _slashed(layer.name)
    for part in caffe(layer, *shapes):
        bottoms = [name] if part.suffix else [_slashed(each) for each in layer.inputs]
        lines += ["layer {", f'  name: "{name}{part.suffix}"', f'  type: "{part.type}"']
        lines += [f'  bottom: "{bottom}"' for bottom in bottoms]
        lines.append(f'  top: "{name}"')
        if part.type != "BatchNorm":
            lines += _multipliers(layer, shapes, network)
        if part.fields:
            lines += [f"  {part.param} {{", *(f"    {field}" for field in part.fields), "  }"]
        lines.append("}")
    return lines


def _declared(name: str, shape: Shape) -> Lines:
    dims = " ".join(f"dim: {size}" for size in (1, *shape))
    return [
        "layer {",
        f'  name: "{name}"',
        '  type: "Input"',
        f'  top: "{name}"',
        f"  input_param {{ shape {{ {dims} }} }}",
        "}",
    ]


def _multipliers(layer: Layer, shapes: Sequence[Shape], network: Network | None) -> Lines:
    """Return a `param` for weight and bias where a multiplier is not 1 or they are shared."""
    own = layer.replace(shares=None).parameters(*shapes)
    owner = layer.shares
    if owner is None and network is not None:
        owner = layer.name if any(each.shares == layer.name for each in network.layers) else None
    plain = layer.trainable and layer.rates == layer.decays == (1.0, 1.0)
    if not own or (plain and owner is None):
        return []
    lines = []
    for index in range(len(own)):
        rate = layer.rates[index] if layer.trainable else 0.0
        name = f'name: "{_slashed(owner)}_{index}" ' if owner else ""
        lines.append(
            f"  param {{ {name}lr_mult: {_number(rate)} decay_mult: "
            f"{_number(layer.decays[index])} }}"
        )
    return lines


# -- kinds -----------------------------------------------------------------------------------------


@singledispatch
def caffe(layer: Layer, *shapes: Shape) -> list[Part]:
    """Return the Caffe layers that compute a record.

    Raises:
        DesignError: Caffe has no type for it.
    """
    raise layer.refuse(f"Caffe has no layer for a {type(layer).__struct_config__.tag}")


@caffe.register
def _(layer: Conv, *shapes: Shape) -> list[Part]:
    if layer.bias == "position" or layer.connections is not None or len(layer.kernel) != 2:
        raise layer.refuse("Caffe convolves images, fully, with one bias a channel or none")
    fields = [
        f"num_output: {layer.features}",
        *_window(layer, layer.kernel, layer.stride, layer.padding),
    ]
    fields += [f"group: {layer.groups}"] if layer.groups > 1 else []
    if max(layer.dilation) > 1:
        fields += [f"dilation: {size}" for size in layer.dilation]
    fields += _fillers(layer, shapes)
    return [Part("Convolution", "convolution_param", fields)]


@caffe.register
def _(layer: ConvTranspose, *shapes: Shape) -> list[Part]:
    if len(layer.kernel) != 2 or any(layer.extra):
        raise layer.refuse("Caffe's deconvolution is of images and adds no extra pixels")
    fields = [
        f"num_output: {layer.features}",
        *_window(layer, layer.kernel, layer.stride, layer.padding),
    ]
    fields += [f"group: {layer.groups}"] if layer.groups > 1 else []
    if max(layer.dilation) > 1:
        fields += [f"dilation: {size}" for size in layer.dilation]
    return [Part("Deconvolution", "convolution_param", [*fields, *_fillers(layer, shapes)])]


@caffe.register
def _(layer: Linear, *shapes: Shape) -> list[Part]:
    fields = [f"num_output: {layer.features}", *_fillers(layer, shapes)]
    return [Part("InnerProduct", "inner_product_param", fields)]


@caffe.register(MaxPool)
@caffe.register(AvgPool)
def _(layer: Pool, *shapes: Shape) -> list[Part]:
    if len(layer.kernel) != 2:
        raise layer.refuse("Caffe pools images")
    if isinstance(layer, AvgPool) and not layer.count_padding and any(map(any, layer.padding)):
        raise layer.refuse("Caffe's average counts the padding")
    fields = [f"pool: {'MAX' if isinstance(layer, MaxPool) else 'AVE'}"]
    fields += _window(layer, layer.kernel, layer.stride, layer.padding)
    fields += [] if layer.ceil else ["round_mode: FLOOR"]
    return [Part("Pooling", "pooling_param", fields)]


@caffe.register(AdaptiveAvgPool)
@caffe.register(AdaptiveMaxPool)
def _(layer: AdaptivePool, *shapes: Shape) -> list[Part]:
    space = shapes[0][1:]
    fields = [f"pool: {'MAX' if isinstance(layer, AdaptiveMaxPool) else 'AVE'}"]
    if len(space) != 2 or any(have % want for have, want in zip(space, layer.size, strict=True)):
        raise layer.refuse(f"Caffe has no pooling from {space} to {layer.size}")
    if layer.size == (1, 1):
        return [Part("Pooling", "pooling_param", [*fields, "global_pooling: true"])]
    kernel = tuple(have // want for have, want in zip(space, layer.size, strict=True))
    fields += [*_pairs("kernel_size", "kernel", kernel), *_pairs("stride", "stride", kernel)]
    return [Part("Pooling", "pooling_param", [*fields, "round_mode: FLOOR"])]


@caffe.register
def _(layer: BatchNorm, *shapes: Shape) -> list[Part]:
    if not layer.running:
        raise layer.refuse("Caffe normalises by running statistics in evaluation")
    fields = [
        f"moving_average_fraction: {_number(round(1 - layer.momentum, 12))}",
        f"eps: {_number(layer.eps)}",
    ]
    norm = Part("BatchNorm", "batch_norm_param", fields)
    return [norm, _scale(layer, shapes, "/scale")] if layer.affine else [norm]


@caffe.register
def _(layer: Affine, *shapes: Shape) -> list[Part]:
    return [_scale(layer, shapes, "")]


@caffe.register
def _(layer: LRN, *shapes: Shape) -> list[Part]:
    fields = [
        f"local_size: {layer.size}",
        f"alpha: {_number(layer.alpha)}",
        f"beta: {_number(layer.beta)}",
        f"k: {_number(layer.k)}",
    ]
    return [Part("LRN", "lrn_param", fields)]


@caffe.register
def _(layer: LeakyReLU, *shapes: Shape) -> list[Part]:
    return [Part("ReLU", "relu_param", [f"negative_slope: {_number(layer.slope)}"])]


@caffe.register
def _(layer: Dropout, *shapes: Shape) -> list[Part]:
    return [Part("Dropout", "dropout_param", [f"dropout_ratio: {_number(layer.p)}"])]


@caffe.register
def _(layer: Tanh, *shapes: Shape) -> list[Part]:
    if (layer.outer, layer.inner) != (1.0, 1.0):
        raise layer.refuse(f"Caffe has no {layer.outer:g} tanh({layer.inner:g} x)")
    return [Part("TanH")]


@caffe.register
def _(layer: Add, *shapes: Shape) -> list[Part]:
    return [Part("Eltwise", "eltwise_param", ["operation: SUM"])]


@caffe.register
def _(layer: ReLU, *shapes: Shape) -> list[Part]:
    return [Part("ReLU")]


@caffe.register
def _(layer: Sigmoid, *shapes: Shape) -> list[Part]:
    return [Part("Sigmoid")]


@caffe.register
def _(layer: Softmax, *shapes: Shape) -> list[Part]:
    return [Part("Softmax")]


@caffe.register
def _(layer: Concat, *shapes: Shape) -> list[Part]:
    return [Part("Concat")]


@caffe.register
def _(layer: Flatten, *shapes: Shape) -> list[Part]:
    return [Part("Flatten")]


# -- fields ----------------------------------------------------------------------------------------


def _window(
    layer: Layer, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[Padding]
) -> Lines:
    if any(before != after for before, after in padding):
        raise layer.refuse(f"Caffe pads both sides alike, not {tuple(padding)}")
    lines = _pairs("kernel_size", "kernel", kernel)
    lines += _pairs("stride", "stride", stride) if max(stride) > 1 else []
    pads = [before for before, _ in padding]
    return lines + (_pairs("pad", "pad", pads) if any(pads) else [])


def _pairs(name: str, axes: str, sizes: Sequence[int]) -> Lines:
    if len(set(sizes)) == 1:
        return [f"{name}: {sizes[0]}"]
    return [f"{axes}_h: {sizes[0]}", f"{axes}_w: {sizes[1]}"]


def _fillers(layer: Layer, shapes: Sequence[Shape], weight: str = "weight_filler") -> Lines:
    """Return how weight and bias start; `bias_term` where there is none."""
    own = layer.replace(shares=None).parameters(*shapes)
    names = (weight, "bias_filler")
    lines = [f"{name} {{ {_filler(each)} }}" for name, each in zip(names, own, strict=False)]
    return lines if len(own) == 2 else [*lines, "bias_term: false"]


def _scale(layer: BatchNorm | Affine, shapes: Sequence[Shape], suffix: str) -> Part:
    return Part(
        "Scale", "scale_param", ["bias_term: true", *_fillers(layer, shapes, "filler")], suffix
    )


def _filler(parameter: Parameter) -> str:
    init = parameter.init
    if init == CAFFE_XAVIER and parameter.role == "weight":
        return 'type: "xavier"'
    if isinstance(init, Constant):
        return f'type: "constant" value: {_number(init.value)}'
    if isinstance(init, Normal):
        return f'type: "gaussian" std: {_number(init.std)}'
    if isinstance(init, FanInUniform):
        init = Uniform(bound=init.gain * parameter.fan_in**-0.5)
    if isinstance(init, Uniform):
        return f'type: "uniform" min: {_number(-init.bound)} max: {_number(init.bound)}'
    if isinstance(init, Xavier) and init.uniform:
        return 'type: "xavier" variance_norm: AVERAGE'
    if isinstance(init, He):
        return 'type: "msra"' + (" variance_norm: FAN_OUT" if init.fan == "out" else "")
    if isinstance(init, Bilinear | UnitBall):
        return f'type: "{"bilinear" if isinstance(init, Bilinear) else "positive_unitball"}"'
    kind = type(init).__struct_config__.tag
    raise DesignError(f"{parameter.name}: Caffe has no filler for the initialisation {kind}.")


def _slashed(name: str) -> str:
    return name.replace(".", "/")


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)

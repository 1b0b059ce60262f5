"""Each kind of layer as ONNX operators; sizes are fixed by then, but for the batch.

Rounding up of pooled sizes becomes padding at the end, which every runtime reads alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from striate import design
from striate.design import Layer, Shape
from striate.design.arithmetic import adaptive_windows
from striate.design.pointwise import Noise
from striate.errors import DesignError
from striate.export.graph import Graph

Tensors = Mapping[str, npt.NDArray[np.float32]]


@singledispatch
def operators(
    record: Layer, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    """Append a layer to a graph.

    Args:
        record: the layer.
        graph: being written.
        inputs: the values it reads.
        shapes: theirs, without batch.
        own: its parameters and buffers, by their last name.

    Returns:
        The name of its output.

    Raises:
        DesignError: a kind that has no counterpart in ONNX here.
    """
    kind = str(type(record).__struct_config__.tag)
    raise DesignError(
        f"{record.name}: a layer of kind {kind} cannot be exported to ONNX yet: say --to torch.",
        record.name,
    )


@operators.register
def _(
    record: design.Conv, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    if record.connections is not None or record.bias == "position":
        raise record.refuse(
            "connections or a bias for each position cannot be exported yet: say --to torch"
        )
    names = [graph.constant(own["weight"])]
    if record.bias == "channel":
        names.append(graph.constant(own["bias"]))
    return graph.op(
        "Conv",
        inputs[0],
        *names,
        kernel_shape=list(record.kernel),
        strides=list(record.stride),
        dilations=list(record.dilation),
        group=record.groups,
        pads=_ends(record.padding),
    )


@operators.register
def _(
    record: design.Linear, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    names = [graph.constant(own["weight"])]
    names += [graph.constant(own["bias"])] if record.bias else []
    return graph.op("Gemm", inputs[0], *names, transB=1)


@operators.register
def _(
    record: design.BatchNorm, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    if not record.running:
        raise record.refuse("batch normalisation without kept statistics cannot be exported")
    mean, variance = own["running_mean"], own["running_var"]
    weight = own.get("weight", np.ones_like(mean))
    bias = own.get("bias", np.zeros_like(mean))
    values = [graph.constant(each) for each in (weight, bias, mean, variance)]
    return graph.op("BatchNormalization", inputs[0], *values, epsilon=record.eps)


@operators.register
def _(
    record: design.LRN, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    if record.size % 2 == 0:
        raise record.refuse("local response normalisation over an even size cannot be exported")
    return graph.op(
        "LRN", inputs[0], size=record.size, alpha=record.alpha, beta=record.beta, bias=record.k
    )


@operators.register
def _(
    record: design.MaxPool, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    return graph.op(
        "MaxPool",
        inputs[0],
        kernel_shape=list(record.kernel),
        strides=list(record.stride),
        pads=_ends(_covering(record, shapes[0])),
    )


@operators.register
def _(
    record: design.AvgPool, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    value, padding = inputs[0], record.padding
    covering = _covering(record, shapes[0])
    if record.count_padding and any(map(any, padding)):
        value = _padded(graph, value, padding)
        covering = tuple((0, after - p[1]) for (_, after), p in zip(covering, padding, strict=True))
    return graph.op(
        "AveragePool",
        value,
        kernel_shape=list(record.kernel),
        strides=list(record.stride),
        pads=_ends(covering),
    )


@operators.register
def _(
    record: design.AdaptiveAvgPool,
    graph: Graph,
    inputs: list[str],
    shapes: list[Shape],
    own: Tensors,
) -> str:
    if set(record.size) == {1}:
        return graph.op("GlobalAveragePool", inputs[0])
    if record.size == shapes[0][1:]:
        return inputs[0]
    if len(record.size) != 2:
        raise record.refuse("adaptive pooling is exported along two axes only")
    down, across = (
        _means(size, count) for size, count in zip(shapes[0][1:], record.size, strict=True)
    )
    value = graph.op("MatMul", graph.constant(down), inputs[0])
    return graph.op("MatMul", value, graph.constant(across.T.copy()))


@operators.register
def _(
    record: design.AdaptiveMaxPool,
    graph: Graph,
    inputs: list[str],
    shapes: list[Shape],
    own: Tensors,
) -> str:
    if set(record.size) == {1}:
        return graph.op("GlobalMaxPool", inputs[0])
    if any(have % want for have, want in zip(shapes[0][1:], record.size, strict=True)):
        raise record.refuse("adaptive pooling by windows of different sizes cannot be exported")
    window = [have // want for have, want in zip(shapes[0][1:], record.size, strict=True)]
    return graph.op("MaxPool", inputs[0], kernel_shape=window, strides=window)


@operators.register
def _(
    record: design.Shortcut, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    axes = range(2, 2 + len(record.stride))
    taken = graph.op(
        "Slice",
        inputs[0],
        graph.integers(*(0 for _ in axes)),
        graph.integers(*(1 << 31 for _ in axes)),
        graph.integers(*axes),
        graph.integers(*record.stride),
    )
    extra = record.features - shapes[0][0]
    if not extra:
        return taken
    before = extra // 2
    still = [0] * len(record.stride)
    pads = graph.integers(0, before, *still, 0, extra - before, *still)
    return graph.op("Pad", taken, pads)


@operators.register
def _(
    record: design.Pad, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    mode = {"zero": "constant", "reflect": "reflect", "edge": "edge"}[record.mode]
    return _padded(graph, inputs[0], record.padding, mode)


@operators.register
def _(
    record: design.Affine, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    wide = (-1, *(1,) * (len(shapes[0]) - 1))
    scaled = graph.op("Mul", inputs[0], graph.constant(own["weight"].reshape(wide)))
    return graph.op("Add", scaled, graph.constant(own["bias"].reshape(wide)))


@operators.register
def _(
    record: design.Tanh, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    value = inputs[0]
    if record.inner != 1.0:
        value = graph.op("Mul", value, graph.constant(np.float32(record.inner)))
    value = graph.op("Tanh", value)
    if record.outer != 1.0:
        value = graph.op("Mul", value, graph.constant(np.float32(record.outer)))
    return value


@operators.register
def _(
    record: design.LeakyReLU, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    return graph.op("LeakyRelu", inputs[0], alpha=record.slope)


@operators.register
def _(
    record: design.ReLU6, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    bounds = (graph.constant(np.float32(0)), graph.constant(np.float32(6)))
    return graph.op("Clip", inputs[0], *bounds)


@operators.register
def _(
    record: design.SiLU, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    return graph.op("Mul", inputs[0], graph.op("Sigmoid", inputs[0]))


@operators.register
def _(
    record: design.Reshape, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    return graph.op("Reshape", inputs[0], graph.integers(-1, *record.output(*shapes)))


def _register(kind: type[Layer], word: str, **attributes: Any) -> None:
    def write(
        record: Layer, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
    ) -> str:
        return graph.op(word, *inputs, **attributes)

    operators.register(kind, write)


def _pass(record: Layer, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors) -> str:
    return inputs[0]


for _kind in (design.Identity, design.Dropout, design.ChannelDropout):
    operators.register(_kind, _pass)


@operators.register
def _(record: Noise, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors) -> str:
    if record.form != "plain" or record.amount == 0.0:
        return inputs[0]
    return graph.op("Mul", inputs[0], graph.constant(np.float32(1 - record.amount)))


_register(design.ReLU, "Relu")
_register(design.Sigmoid, "Sigmoid")
_register(design.GELU, "Gelu")
_register(design.Softmax, "Softmax", axis=1)
_register(design.LogSoftmax, "LogSoftmax", axis=1)
_register(design.Add, "Sum")
_register(design.Concat, "Concat", axis=1)
_register(design.Flatten, "Flatten", axis=1)


def _ends(padding: tuple[tuple[int, int], ...]) -> list[int]:
    """Return padding as ONNX has it: all before, then all after."""
    return [before for before, _ in padding] + [after for _, after in padding]


def _padded(
    graph: Graph, value: str, padding: tuple[tuple[int, int], ...], mode: str = "constant"
) -> str:
    before, after = ([each[end] for each in padding] for end in (0, 1))
    return graph.op("Pad", value, graph.integers(0, 0, *before, 0, 0, *after), mode=mode)


def _covering(record: design.Pool, shape: Shape) -> tuple[tuple[int, int], ...]:
    """Return padding that makes the very output size, where it is rounded up."""
    if not record.ceil:
        return record.padding
    sizes = record.output(shape)[1:]
    made = []
    for size, out, k, s, (before, _) in zip(
        shape[1:], sizes, record.kernel, record.stride, record.padding, strict=True
    ):
        made.append((before, max((out - 1) * s + k - size - before, 0)))
    return tuple(made)


def _means(size: int, count: int) -> npt.NDArray[np.float32]:
    """Return the matrix (count, size) of adaptive average pooling along an axis."""
    made = np.zeros((count, size), np.float32)
    for row, (start, end) in enumerate(adaptive_windows(size, count)):
        made[row, start:end] = 1 / (end - start)
    return made

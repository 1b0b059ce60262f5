"""Functions of single elements, products, cuts and turns as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from striate import design
from striate.design import Shape
from striate.errors import DesignError
from striate.export.graph import Graph
from striate.export.operators import Tensors, operators


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.float32(value))


# Each function by the operators that it is; x is the value, a its arguments.
_FUNCTIONS: dict[str, Callable[[Graph, str, tuple[float, ...]], str]] = {
    "abs": lambda g, x, a: g.op("Abs", x),
    "at_least": lambda g, x, a: g.op("Max", x, _number(g, a[0])),
    "at_most": lambda g, x, a: g.op("Min", x, _number(g, a[0])),
    "between": lambda g, x, a: g.op("Clip", x, _number(g, a[0]), _number(g, a[1])),
    "celu": lambda g, x, a: g.op("Celu", x, alpha=a[0]),
    "cos": lambda g, x, a: g.op("Cos", x),
    "elu": lambda g, x, a: g.op("Elu", x, alpha=a[0]),
    "exp": lambda g, x, a: g.op("Exp", x),
    "gelu_tanh": lambda g, x, a: g.op("Gelu", x, approximate="tanh"),
    "hardsigmoid": lambda g, x, a: g.op("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    "hardswish": lambda g, x, a: g.op("HardSwish", x),
    "log": lambda g, x, a: g.op("Log", x),
    "log_sigmoid": lambda g, x, a: g.op("Log", g.op("Sigmoid", x)),
    "mish": lambda g, x, a: g.op("Mish", x),
    "power": lambda g, x, a: g.op("Pow", x, _number(g, a[0])),
    "rsqrt": lambda g, x, a: g.op("Reciprocal", g.op("Sqrt", x)),
    "scale": lambda g, x, a: g.op("Add", g.op("Mul", x, _number(g, a[0])), _number(g, a[1])),
    "selu": lambda g, x, a: g.op("Selu", x),
    "sin": lambda g, x, a: g.op("Sin", x),
    "softsign": lambda g, x, a: g.op("Softsign", x),
    "sqrt": lambda g, x, a: g.op("Sqrt", x),
    "tanhshrink": lambda g, x, a: g.op("Sub", x, g.op("Tanh", x)),
}


@operators.register
def _(
    record: design.Elementwise, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    if record.function == "softplus" and record.arguments[0] == 1.0:
        return graph.op("Softplus", inputs[0])
    if record.function not in _FUNCTIONS:
        raise DesignError(
            f"{record.name}: the function {record.function}{record.arguments} cannot be exported.",
            record.name,
        )
    return _FUNCTIONS[record.function](graph, inputs[0], record.arguments)


@operators.register
def _(
    record: design.Combine, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    tensor = own["weight"].reshape(record.shape if record.seen is None else record.seen)
    if tensor.ndim > len(shapes[0]):  # an axis of the batch
        tensor = tensor[0]
    word = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div"}[record.operation]
    return graph.op(word, inputs[0], graph.constant(tensor))


@operators.register
def _(
    record: design.Multiply, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    rank, value = max(map(len, shapes)), ""
    for name, shape in zip(inputs, shapes, strict=True):
        if len(shape) < rank:  # one number a channel, for all its places
            name = graph.op(
                "Reshape", name, graph.integers(-1, *shape, *(1,) * (rank - len(shape)))
            )
        value = graph.op("Mul", value, name) if value else name
    return value


@operators.register
def _(
    record: design.PReLU, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    wide = (-1, *(1,) * (len(shapes[0]) - 1))
    return graph.op("PRelu", inputs[0], graph.constant(own["weight"].reshape(wide)))


@operators.register
def _(
    record: design.Slice, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    starts, stops, steps = zip(*record.ranges, strict=True)
    ends = [(1 << 31) if stop is None else stop for stop in stops]
    axes = range(1, len(steps) + 1)
    lists = (graph.integers(*each) for each in (starts, ends, axes, steps))
    return graph.op("Slice", inputs[0], *lists)


@operators.register
def _(
    record: design.Permute, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    return graph.op("Transpose", inputs[0], perm=[0, *(axis + 1 for axis in record.order)])


@operators.register
def _(
    record: design.Reduce, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    word = {"mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax"}[record.function]
    axes = graph.integers(*(axis + 1 for axis in record.axes))
    value = graph.op(word, inputs[0], axes, keepdims=int(record.keep))
    whole = not record.keep and len(record.axes) == len(shapes[0])
    return graph.op("Reshape", value, graph.integers(-1, 1)) if whole else value


@operators.register
def _(
    record: design.LinearLast, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    value = graph.op("MatMul", inputs[0], graph.constant(own["weight"].T.copy()))
    return graph.op("Add", value, graph.constant(own["bias"])) if record.bias else value


@operators.register
def _(
    record: design.ConvTranspose, graph: Graph, inputs: list[str], shapes: list[Shape], own: Tensors
) -> str:
    names = [graph.constant(own["weight"])] + ([graph.constant(own["bias"])] if record.bias else [])
    pads = [before for before, _ in record.padding] + [after for _, after in record.padding]
    return graph.op(
        "ConvTranspose",
        inputs[0],
        *names,
        strides=list(record.stride),
        dilations=list(record.dilation),
        output_padding=list(record.extra),
        group=record.groups,
        pads=pads,
    )

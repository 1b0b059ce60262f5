"""ONNX's sums, products and joins, as records: of two values, or of one and a constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from striate import design
from striate.weights.onnx.call import Call, Value
from striate.weights.onnx.messages import Array


def _concat(call: Call) -> list[Value]:
    if call.axis(int(call.get("axis", 1))) != 0:
        raise call.refuse(f"expected it along the channels, received axis={call.get('axis', 1)}")
    values = [call.value(at) for at in range(len(call.inputs))]
    return [values[0] if len(values) == 1 else call.put(design.Concat, *values)]


def _sum(call: Call) -> list[Value]:
    values = [call.value(at) for at in range(len(call.inputs))]
    return [values[0] if len(values) == 1 else call.put(design.Add, *values)]


def _add(call: Call) -> list[Value]:
    if all(isinstance(each, Value) for each in call.inputs):
        return _sum(call)
    value, own = call.split()
    return [call.biased(value, own) or _combined(call, value, "add", own)]


def _subtract(call: Call) -> list[Value]:
    if isinstance(call.inputs[1], Value):
        negative = call.elementwise("scale", -1.0, 0.0, of=call.value(1))
        if isinstance(call.inputs[0], Value):
            return [call.put(design.Add, call.value(0), negative)]
        return [_combined(call, negative, "add", call.constant(0, "what it is taken from"))]
    value, own = call.split()
    return [_combined(call, value, "subtract", own)]


def _multiply(call: Call) -> list[Value]:
    if all(isinstance(each, Value) for each in call.inputs):
        return [call.put(design.Multiply, call.value(0), call.value(1))]
    value, own = call.split()
    return [_combined(call, value, "multiply", own)]


def _divide(call: Call) -> list[Value]:
    if isinstance(call.inputs[1], Value):
        inverse = call.elementwise("power", -1.0, of=call.value(1))
        if isinstance(call.inputs[0], Value):
            return [call.put(design.Multiply, call.value(0), inverse)]
        return [_combined(call, inverse, "multiply", call.constant(0, "what it divides"))]
    value, own = call.split()
    return [_combined(call, value, "divide", own)]


def _combined(
    call: Call,
    value: Value,
    operation: Literal["add", "subtract", "multiply", "divide"],
    own: Array,
) -> Value:
    """Return a value and a constant, one number or a tensor."""
    own = own.astype(np.float32)
    if own.ndim == len(value.shape) + 1 and own.shape[0] == 1:
        own = own[0]
    if own.size == 1:
        number = float(own.ravel()[0])
        if (operation, number) in (("add", 0.0), ("subtract", 0.0), ("multiply", 1.0)):
            return value
        slope = {"multiply": number, "divide": 1 / number if number else float("inf")}
        offset = {"add": number, "subtract": -number}
        arguments = (slope.get(operation, 1.0), offset.get(operation, 0.0))
        return call.elementwise("scale", *arguments, of=value)
    return call.put(
        design.Combine, value, own={"weight": own}, operation=operation, shape=own.shape
    )


JOINING: dict[str, Callable[[Call], list[Value]]] = {
    "Add": _add,
    "Concat": _concat,
    "Div": _divide,
    "Mul": _multiply,
    "Sub": _subtract,
    "Sum": _sum,
}

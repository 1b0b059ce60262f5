"""Sums, products and joins, as calls of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from striate import design
from striate.layers.describe.calls import Call, Unknown, converts

Operation = Literal["add", "subtract", "multiply", "divide"]


def _scaled(call: Call, value: str, slope: float, offset: float) -> str:
    if (slope, offset) == (1.0, 0.0):
        return value
    return call.put(
        design.Elementwise, value, function="scale", arguments=(float(slope), float(offset))
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _combined(call: Call, value: str, operation: Operation, own: Tensor) -> str:
    """Return a value changed by a parameter or buffer."""
    name = call.tracer.parameter(own) or call.tracer.reshaped(own)
    if name is None:
        raise Unknown("its other operand is computed, not a parameter")
    constant = name not in call.tracer.parameters
    shape = tuple((call.tracer.buffers if constant else call.tracer.parameters)[name].shape)
    return call.put(
        design.Combine,
        value,
        owned={"weight": name},
        operation=operation,
        shape=shape,
        seen=None if shape == tuple(own.shape) else tuple(own.shape),
        constant=constant,
    )


@converts("add")
def _add(call: Call, outs: list[Tensor], x: Any, y: Any, *, alpha: float = 1) -> list[str]:
    if not call.is_value(x):
        if alpha != 1:
            raise Unknown("what it adds is scaled")
        x, y = y, x
    if _number(y):
        return [_scaled(call, call.value(x), 1.0, alpha * y)]
    if not call.is_value(y):
        if alpha != 1:
            raise Unknown("what it adds is scaled")
        return [_combined(call, call.value(x), "add", y)]
    return [call.put(design.Add, call.value(x), _scaled(call, call.value(y), alpha, 0.0))]


@converts("sub", "subtract")
def _subtract(call: Call, outs: list[Tensor], x: Any, y: Any, *, alpha: float = 1) -> list[str]:
    if _number(y):
        return [_scaled(call, call.value(x), 1.0, -alpha * y)]
    if not call.is_value(x):
        minus = _scaled(call, call.value(y), -alpha, x if _number(x) else 0.0)
        if not _number(x):
            raise Unknown("it takes a value from a tensor of its own")
        return [minus]
    if not call.is_value(y):
        return [_combined(call, call.value(x), "subtract", y)]
    return [call.put(design.Add, call.value(x), _scaled(call, call.value(y), -alpha, 0.0))]


@converts("rsub")
def _subtracted(
    call: Call, outs: list[Tensor], x: Any, y: Any, alpha: float = 1
) -> Sequence[str | None]:
    if alpha != 1:
        raise Unknown("what it takes off is scaled")
    return _subtract(call, outs, y, x)


@converts("mul")
def _multiply(call: Call, outs: list[Tensor], x: Any, y: Any) -> list[str]:
    if not call.is_value(x):
        x, y = y, x
    if _number(y):
        return [_scaled(call, call.value(x), y, 0.0)]
    if not call.is_value(y):
        return [_combined(call, call.value(x), "multiply", y)]
    return [call.put(design.Multiply, call.value(x, loose=True), call.value(y, loose=True))]


@converts("addcmul")
def _add_product(
    call: Call, outs: list[Tensor], x: Any, a: Any, b: Any, *, value: float = 1
) -> list[str]:
    if value != 1 or call.is_value(x) or call.is_value(a) == call.is_value(b):
        raise Unknown("it is no scale and shift")
    a, b = (b, a) if call.is_value(b) else (a, b)
    return [_combined(call, _combined(call, call.value(a), "multiply", b), "add", x)]


@converts("div", "idiv", "itruediv")
def _divide(
    call: Call, outs: list[Tensor], x: Any, y: Any, *, rounding_mode: str | None = None
) -> list[str]:
    if rounding_mode is not None or not call.is_value(x):
        raise Unknown("it rounds, or divides a constant")
    if _number(y):
        return [_scaled(call, call.value(x), 1.0 / y, 0.0)]
    if not call.is_value(y):
        return [_combined(call, call.value(x), "divide", y)]
    inverse = call.put(
        design.Elementwise, call.value(y, loose=True), function="power", arguments=(-1.0,)
    )
    return [call.put(design.Multiply, call.value(x, loose=True), inverse)]


@converts("rdiv")
def _divided(call: Call, outs: list[Tensor], x: Any, y: Any) -> list[str]:
    if not _number(y):
        raise Unknown("it divides a tensor of its own by a value")
    inverse = call.put(design.Elementwise, call.value(x), function="power", arguments=(-1.0,))
    return [_scaled(call, inverse, y, 0.0)]


@converts("cat", "concat", "concatenate")
def _concat(
    call: Call, outs: list[Tensor], tensors: Sequence[Tensor], dim: int = 0, axis: int | None = None
) -> list[str]:
    axis = dim if axis is None else axis
    if axis % tensors[0].dim() != 1:
        raise Unknown("it does not join channels")
    return [call.put(design.Concat, *(call.value(each) for each in tensors))]

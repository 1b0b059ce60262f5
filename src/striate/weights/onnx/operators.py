"""ONNX's operators as records: each reader says what one call is on paper.

Attributes that later versions of an operator made inputs are read in both places. The first axis
is the batch, which records do not have.

Source: onnx.ai, "ONNX Operators".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from striate import design
from striate.design import Layer
from striate.weights.keras.layers import same
from striate.weights.onnx.call import Call, Value
from striate.weights.onnx.folding import whole
from striate.weights.onnx.joining import JOINING
from striate.weights.onnx.moving import MOVING

Padding = tuple[int, int]
Reader = Callable[[Call], list[Value]]


def _extents(call: Call, kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]


def _padding(call: Call, extents: Sequence[int], strides: Sequence[int]) -> tuple[Padding, ...]:
    """Return (before, after) of each axis."""
    rule = call.get("auto_pad", "NOTSET")
    if rule in ("SAME_UPPER", "SAME_LOWER"):
        ends = [same(*axis) for axis in zip(call.shape()[1:], extents, strides, strict=True)]
        return tuple(each if rule == "SAME_UPPER" else each[::-1] for each in ends)
    axes = len(extents)
    pads = (0,) * (2 * axes) if rule == "VALID" else call.sizes("pads", 2 * axes, 0)
    return tuple(zip(pads[:axes], pads[axes:], strict=True))


def _conv(call: Call) -> list[Value]:
    weight = call.constant(1, "its filters").astype(np.float32)
    axes = weight.ndim - 2
    stride, dilation = call.sizes("strides", axes), call.sizes("dilations", axes)
    kernel = weight.shape[2:]
    own = {"weight": weight} | call.bias(2)
    return [
        call.put(
            design.Conv,
            own=own,
            features=len(weight),
            kernel=kernel,
            stride=stride,
            padding=_padding(call, _extents(call, kernel, dilation), stride),
            dilation=dilation,
            groups=int(call.get("group", 1)),
            bias="channel" if "bias" in own else "none",
        )
    ]


def _transposed(call: Call) -> list[Value]:
    weight = call.constant(1, "its filters").astype(np.float32)
    axes, groups = weight.ndim - 2, int(call.get("group", 1))
    if call.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or call.get("output_shape"):
        raise call.refuse("padding by its output's size cannot be read")
    pads = call.sizes("pads", 2 * axes, 0)
    own = {"weight": weight} | call.bias(2)
    return [
        call.put(
            design.ConvTranspose,
            own=own,
            features=weight.shape[1] * groups,
            kernel=weight.shape[2:],
            stride=call.sizes("strides", axes),
            padding=tuple(zip(pads[:axes], pads[axes:], strict=True)),
            extra=call.sizes("output_padding", axes, 0),
            dilation=call.sizes("dilations", axes),
            groups=groups,
            bias="bias" in own,
        )
    ]


def _gemm(call: Call) -> list[Value]:
    if call.get("transA", 0):
        raise call.refuse("a transposed first operand cannot be read")
    weight = call.constant(1, "its weights").astype(np.float32)
    weight = weight if call.get("transB", 0) else weight.T
    own = {"weight": np.float32(call.get("alpha", 1.0)) * weight}
    if call.given(2):
        bias = call.constant(2, "its bias").astype(np.float32).ravel()
        own["bias"] = np.float32(call.get("beta", 1.0)) * np.broadcast_to(bias, (len(weight),))
    source = call.value(0)
    if len(source.shape) > 1:
        source = call.put(design.Flatten, source)
    return [call.put(design.Linear, source, own=own, features=len(weight), bias="bias" in own)]


def _matmul(call: Call) -> list[Value]:
    weight = call.constant(1, "its second operand").astype(np.float32)
    if weight.ndim != 2:
        raise call.refuse(f"expected a matrix to multiply by, received shape {weight.shape}")
    kind: type[Layer] = design.Linear if len(call.shape()) == 1 else design.LinearLast
    return [call.put(kind, own={"weight": weight.T}, features=weight.shape[1], bias=False)]


def _batch_norm(call: Call) -> list[Value]:
    if not call.get("spatial", 1) or call.get("training_mode", 0):
        raise call.refuse("statistics of each position, or of the batch, cannot be read")
    words = ("weight", "bias", "running_mean", "running_var")
    own = {
        word: call.constant(at, f"its {word}").astype(np.float32)
        for at, word in enumerate(words, start=1)
    }
    return [call.put(design.BatchNorm, own=own, eps=float(call.get("epsilon", 1e-5)))]


def _layer_norm(call: Call) -> list[Value]:
    axis = call.axis(int(call.get("axis", -1)))
    own = {"weight": call.constant(1, "its scale").astype(np.float32)} | call.bias(2)
    eps, axes = float(call.get("epsilon", 1e-5)), len(call.shape()) - axis
    return [call.put(design.LayerNorm, own=own, axes=axes, eps=eps, bias="bias" in own)]


def _lrn(call: Call) -> list[Value]:
    return [
        call.put(
            design.LRN,
            size=int(call.get("size", 5)),
            alpha=float(call.get("alpha", 1e-4)),
            beta=float(call.get("beta", 0.75)),
            k=float(call.get("bias", 1.0)),
        )
    ]


def _pool(kind: type[design.Pool]) -> Reader:
    def read(call: Call) -> list[Value]:
        kernel = whole(call.get("kernel_shape", ()))
        axes = len(kernel)
        stride = call.sizes("strides", axes)
        if call.sizes("dilations", axes) != (1,) * axes or len(call.node.outputs) > 1:
            raise call.refuse("dilated windows, or the places of the largest, cannot be read")
        padding = _padding(call, kernel, stride)
        fields: dict[str, Any] = {}
        if kind is design.AvgPool:
            fields["count_padding"] = bool(call.get("count_include_pad", 0))
        ceil = bool(call.get("ceil_mode", 0))
        made = kind(
            name="pool", inputs=("x",), kernel=kernel, stride=stride, padding=padding, ceil=ceil,
            **fields,
        )  # fmt: skip
        return [_appended(call, _cut(made, call.shape()))]

    return read


def _appended(call: Call, pool: design.Pool) -> Value:
    """Append a pool; a mean of all of the image, its padding uncounted, is the global one."""
    uneven = any(before != after for before, after in pool.padding)
    if not isinstance(pool, design.AvgPool) or pool.count_padding or not uneven:
        return call.append(pool)
    _, *space = call.shape()
    covered = all(
        k - before >= n for k, n, (before, _) in zip(pool.kernel, space, pool.padding, strict=True)
    )
    if not covered or set(pool.output(call.shape())[1:]) != {1}:
        raise call.refuse(f"a mean over pixels alone with padding={pool.padding} cannot be read")
    return call.put(design.AdaptiveAvgPool, size=(1,) * len(space))


def _cut(pool: design.Pool, shape: design.Shape) -> design.Pool:
    """Return a pool whose padding at the end is windows that are cut off there, where it is.

    Both see the same pixels, but only the second is what Caffe's networks are on paper.
    """
    counted = isinstance(pool, design.AvgPool) and pool.count_padding
    before, after = zip(*pool.padding, strict=True)
    small = any(n < k for n, k in zip(shape[1:], pool.kernel, strict=False))
    if counted or small or any(before) or not any(after):
        return pool
    cut = pool.replace(padding=((0, 0),) * len(before), ceil=True)
    return cut if cut.output(shape) == pool.output(shape) else pool


def _global(kind: type[design.AdaptivePool]) -> Reader:
    return lambda call: [call.put(kind, size=(1,) * (len(call.shape()) - 1))]


def _reduce(function: Literal["mean", "sum", "max"]) -> Reader:
    def read(call: Call) -> list[Value]:
        axes = call.axes(1, "axes")
        shape, keep = call.shape(), bool(call.get("keepdims", 1))
        chosen = tuple(range(len(shape))) if axes is None else tuple(map(call.axis, axes))
        if function == "mean" and sorted(chosen) == list(range(1, len(shape))) and chosen:
            pooled = call.put(design.AdaptiveAvgPool, size=(1,) * (len(shape) - 1))
            return [pooled if keep else call.put(design.Flatten, pooled)]
        if not keep and len(chosen) == len(shape):
            raise call.refuse("expected an axis of one image to stay")
        axes = tuple(sorted(chosen))
        return [call.put(design.Reduce, function=function, axes=axes, keep=keep)]

    return read


def _limit(word: str) -> Reader:
    """Return the reader of Max or Min, of a value and one number."""

    def read(call: Call) -> list[Value]:
        value, own = call.split()
        if own.size != 1:
            raise call.refuse(f"expected one number, received shape {own.shape}")
        return [call.elementwise(word, float(own.ravel()[0]), of=value)]

    return read


def _softmax(kind: type[Layer]) -> Reader:
    def read(call: Call) -> list[Value]:
        axis = call.get("axis", 1 if call.opset < 13 else -1)
        rest = call.shape()[1:] if call.opset < 13 else call.shape()
        if call.axis(int(axis)) != 0 or (call.opset < 13 and set(rest) - {1}):
            raise call.refuse(f"expected it along the channels, received axis={axis}")
        return [call.put(kind)]

    return read


def _clip(call: Call) -> list[Value]:
    low, high = call.bound("min", 1), call.bound("max", 2)
    if (low, high) == (0.0, 6.0):
        return [call.put(design.ReLU6)]
    if low is not None and high is not None:
        return [call.elementwise("between", low, high)]
    if low is not None:
        return [call.put(design.ReLU) if low == 0 else call.elementwise("at_least", low)]
    return [call.elementwise("at_most", high)] if high is not None else [call.value(0)]


def _hard_sigmoid(call: Call) -> list[Value]:
    slope, offset = float(call.get("alpha", 0.2)), float(call.get("beta", 0.5))
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        return [call.elementwise("hardsigmoid")]
    call.inputs[0] = call.elementwise("scale", slope, offset)
    return [call.elementwise("between", 0.0, 1.0)]


def _prelu(call: Call) -> list[Value]:
    slope = call.constant(1, "its slope").astype(np.float32)
    channels = call.shape()[0]
    if slope.size not in (1, channels) or slope.size != max(slope.shape, default=1):
        raise call.refuse(f"expected a slope for each channel, received shape {slope.shape}")
    own = {"weight": slope.reshape(-1)}
    return [call.put(design.PReLU, own=own, each=slope.size > 1)]


def _function(word: str, *arguments: tuple[str, float]) -> Reader:
    """Return the reader of a function of single elements, whose numbers are attributes."""

    def read(call: Call) -> list[Value]:
        numbers = (float(call.get(name, default)) for name, default in arguments)
        return [call.elementwise(word, *numbers)]

    return read


def _scaled(slope: float) -> Reader:
    return lambda call: [call.elementwise("scale", slope, 0.0)]


def _power(call: Call) -> list[Value]:
    exponent = call.constant(1, "its exponent")
    if exponent.size != 1:
        raise call.refuse("expected one exponent")
    return [call.elementwise("power", float(exponent.ravel()[0]))]


def _softplus(call: Call) -> list[Value]:
    return [call.elementwise("softplus", 1.0, 20.0)]


def _gelu(call: Call) -> list[Value]:
    if call.get("approximate", "none") == "tanh":
        return [call.elementwise("gelu_tanh")]
    return [call.put(design.GELU)]


def _plain(kind: type[Layer], **fields: Any) -> Reader:
    return lambda call: [call.put(kind, **fields)]


def _leaky(call: Call) -> list[Value]:
    return [call.put(design.LeakyReLU, slope=float(call.get("alpha", 0.01)))]


def _dropout(call: Call) -> list[Value]:
    ratio = call.constant(1, "its ratio") if call.given(1) else np.array(call.get("ratio", 0.5))
    return [call.put(design.Dropout, p=float(ratio))]


def _pass(call: Call) -> list[Value]:
    return [call.value(0)]


READERS: dict[str, Reader] = (
    {
        "Abs": _function("abs"),
        "AveragePool": _pool(design.AvgPool),
        "BatchNormalization": _batch_norm,
        "Cast": _pass,
        "Celu": _function("celu", ("alpha", 1.0)),
        "Clip": _clip,
        "Conv": _conv,
        "ConvTranspose": _transposed,
        "Cos": _function("cos"),
        "Dropout": _dropout,
        "Elu": _function("elu", ("alpha", 1.0)),
        "Exp": _function("exp"),
        "Gelu": _gelu,
        "Gemm": _gemm,
        "GlobalAveragePool": _global(design.AdaptiveAvgPool),
        "GlobalMaxPool": _global(design.AdaptiveMaxPool),
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _function("hardswish"),
        "Identity": _pass,
        "LRN": _lrn,
        "LayerNormalization": _layer_norm,
        "LeakyRelu": _leaky,
        "Log": _function("log"),
        "LogSoftmax": _softmax(design.LogSoftmax),
        "MatMul": _matmul,
        "Max": _limit("at_least"),
        "MaxPool": _pool(design.MaxPool),
        "Min": _limit("at_most"),
        "Mish": _function("mish"),
        "Neg": _scaled(-1.0),
        "PRelu": _prelu,
        "Pow": _power,
        "Reciprocal": _function("power", ("", -1.0)),
        "ReduceMax": _reduce("max"),
        "ReduceMean": _reduce("mean"),
        "ReduceSum": _reduce("sum"),
        "Relu": _plain(design.ReLU),
        "Selu": _function("selu"),
        "Sigmoid": _plain(design.Sigmoid),
        "Sin": _function("sin"),
        "Softmax": _softmax(design.Softmax),
        "Softplus": _softplus,
        "Softsign": _function("softsign"),
        "Sqrt": _function("sqrt"),
        "Tanh": _plain(design.Tanh),
    }
    | JOINING
    | MOVING
)

"""Each of Caffe's layer types as a record: its parameters, defaults and rules.

A reader takes the entry and the shapes of its inputs and returns the kind and its fields; `read`
gives it name, inputs and multipliers. Defaults are caffe.proto's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from striate.design.arithmetic import output_size, volume
from striate.design.init import (
    Bilinear,
    Constant,
    FanInUniform,
    He,
    Init,
    Normal,
    Uniform,
    UnitBall,
    Xavier,
)
from striate.design.layer import Layer, Shape
from striate.design.linear import Conv, Linear
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
from striate.design.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, MaxPool
from striate.design.prototxt.entries import Entry
from striate.design.prototxt.message import Message
from striate.design.transposed import ConvTranspose
from striate.design.wiring import Add, Concat, Flatten, Opaque

CAFFE_XAVIER = FanInUniform(gain=3**0.5)  # U(-b, b) with b = sqrt(3 / fan in)
NO_FILLER = "no weight_filler written: Xavier's here, where Caffe would start at 0"

_FILLER = ("type", "value", "min", "max", "mean", "std", "sparse", "variance_norm")
_WINDOW = (
    "num_output", "bias_term", "pad", "kernel_size", "group", "stride", "weight_filler",
    "bias_filler", "pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation",
    "engine", "axis", "force_nd_im2col",
)  # fmt: skip
_POOLING = (
    "pool", "pad", "pad_h", "pad_w", "kernel_size", "kernel_h", "kernel_w", "stride", "stride_h",
    "stride_w", "engine", "global_pooling", "round_mode", "ceil_mode",
)  # fmt: skip
_INNER = ("num_output", "bias_term", "weight_filler", "bias_filler", "axis", "transpose")


class Made:
    """What a reader makes of a layer: kind, fields, and what is to be said of it.

    Args:
        kind: of the record.
        note: a deviation.
        fields: of the record, without name, inputs and multipliers.
    """

    def __init__(self, kind: Callable[..., Layer], note: str = "", **fields: Any) -> None:
        self.kind, self.note, self.fields = kind, note, fields


Reader = Callable[[Entry, tuple[Shape, ...]], Made]


def _param(entry: Entry, name: str, known: tuple[str, ...]) -> Message:
    message = entry.message.message(name)
    message.check(name, known)
    return message


# -- layers with weights ---------------------------------------------------------------------------


def _convolution(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "convolution_param", _WINDOW)
    if param.integer("axis", 1) != 1:
        raise entry.error("expected axis: 1.", "convolution_param")
    weight, note = _filler(param, "weight_filler")
    bias, _ = _filler(param, "bias_filler")
    return Made(
        Conv,
        note,
        features=_features(entry, param, "convolution_param"),
        kernel=_sizes(entry, param, "kernel_size", "kernel", None, 1),
        stride=_sizes(entry, param, "stride", "stride", 1, 1),
        padding=tuple((p, p) for p in _sizes(entry, param, "pad", "pad", 0, 0)),
        dilation=_sizes(entry, param, "dilation", "", 1, 1),
        groups=param.integer("group", 1, 1),
        bias="channel" if param.flag("bias_term", True) else "none",
        weight_init=weight,
        bias_init=bias,
    )


def _inner_product(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "inner_product_param", _INNER)
    if param.integer("axis", 1) != 1:
        raise entry.error("expected axis: 1.", "inner_product_param")
    weight, note = _filler(param, "weight_filler")
    bias, _ = _filler(param, "bias_filler")
    return Made(
        Linear,
        note,
        features=_features(entry, param, "inner_product_param"),
        bias=param.flag("bias_term", True),
        weight_init=weight,
        bias_init=bias,
    )


def _deconvolution(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    made = _convolution(entry, shapes)
    bias, extra = made.fields.pop("bias") == "channel", (0,) * len(made.fields["kernel"])
    return Made(ConvTranspose, made.note, extra=extra, bias=bias, **made.fields)


def _scale(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    known = ("axis", "num_axes", "filler", "bias_term", "bias_filler")
    param = _param(entry, "scale_param", known)
    if (
        len(entry.bottoms) != 1
        or param.integer("axis", 1) != 1
        or param.integer("num_axes", 1) != 1
    ):
        raise entry.error("expected one bottom, axis: 1 and num_axes: 1.")
    weight = _filler(param, "filler", Constant(value=1.0))[0]
    if not param.flag("bias_term", False):
        return _weighted(entry, shapes, "weight", (shapes[0][0],))
    return Made(Affine, weight_init=weight, bias_init=_filler(param, "bias_filler")[0])


def _batch_norm(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    known = ("use_global_stats", "moving_average_fraction", "eps")
    param = _param(entry, "batch_norm_param", known)
    fraction = param.number("moving_average_fraction", 0.999)
    return Made(
        BatchNorm,
        eps=param.number("eps", 1e-5),
        momentum=round(1 - fraction, 12),
        corrected=True,  # Caffe keeps sums, and the weight that they were summed with
        affine=False,
    )


def _filler(param: Message, name: str, default: Init | None = None) -> tuple[Init, str]:
    """Return how a parameter starts, and what deviates from Caffe."""
    if not param.has(name):
        if default is not None:
            return default, ""
        missing = name == "weight_filler"
        return (CAFFE_XAVIER, NO_FILLER) if missing else (Constant(), "")
    filler = param.message(name)
    filler.check(name, _FILLER)
    kind = filler.string("type", "constant")
    if kind == "constant":
        return Constant(value=filler.number("value", 0.0)), ""
    if kind == "gaussian":
        std, mean = filler.number("std", 1.0), filler.number("mean", 0.0)
        odd = mean != 0 or filler.integer("sparse", -1, -1) >= 0
        return Normal(std=std), "the filler's mean or sparseness is left out" if odd else ""
    if kind == "uniform":
        low, high = filler.number("min", 0.0), filler.number("max", 1.0)
        note = "" if low == -high else f"the filler is uniform in {low:g} to {high:g}"
        return Uniform(bound=max(abs(low), abs(high))), note
    norm = filler.choice("variance_norm", "FAN_IN", ("FAN_IN", "FAN_OUT", "AVERAGE"))
    if kind == "xavier" and norm == "AVERAGE":
        return Xavier(uniform=True), ""
    if kind == "xavier":
        return CAFFE_XAVIER, "" if norm == "FAN_IN" else "the filler's FAN_OUT is fan in here"
    if kind == "msra":
        note = "the filler's AVERAGE is fan in here" if norm == "AVERAGE" else ""
        return He(fan="out" if norm == "FAN_OUT" else "in"), note
    if kind in ("bilinear", "positive_unitball"):
        return Bilinear() if kind == "bilinear" else UnitBall(), ""
    known = "constant, gaussian, uniform, xavier, msra, bilinear or positive_unitball"
    raise filler.error(filler.place("type"), f"expected the filler {known}, received {kind!r}.")


def _features(entry: Entry, param: Message, where: str) -> int:
    if not param.has("num_output"):
        raise entry.error("expected num_output, the number of filters or units.", where)
    return param.integer("num_output", 1, 1)


def _sizes(
    entry: Entry, param: Message, name: str, axes: str, default: int | None, least: int
) -> tuple[int, ...]:
    """Return (height, width) of `kernel_size: 3`, of two of them, or of kernel_h and kernel_w."""
    height, width = f"{axes}_h", f"{axes}_w"
    if axes and param.has(height, width):
        other = default if default is not None else 0
        if default is None and not (param.has(height) and param.has(width)):
            raise entry.error(f"expected both {height} and {width}.", "name")
        return param.integer(height, other, least), param.integer(width, other, least)
    given = param.integers(name, least)
    if not given and default is not None:
        given = [default]
    if len(given) not in (1, 2):
        raise entry.error(f"expected {name} once or for height and width.", "name")
    return tuple(given * 2 if len(given) == 1 else given)


# -- layers without weights ------------------------------------------------------------------------


def _pooling(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "pooling_param", _POOLING)
    method = param.choice("pool", "MAX", ("MAX", "AVE", "STOCHASTIC", "0", "1"))
    if method == "STOCHASTIC":
        raise entry.error("expected pool: MAX or AVE; STOCHASTIC has no counterpart here.")
    maximum = method in ("MAX", "0")
    if param.flag("global_pooling", False):
        return Made(AdaptiveMaxPool if maximum else AdaptiveAvgPool, size=(1, 1))
    kernel = _sizes(entry, param, "kernel_size", "kernel", None, 1)
    stride = _sizes(entry, param, "stride", "stride", 1, 1)
    padding = tuple((p, p) for p in _sizes(entry, param, "pad", "pad", 0, 0))
    ceil = param.choice("round_mode", "CEIL", ("CEIL", "FLOOR", "0", "1")) in ("CEIL", "0")
    ceil = param.flag("ceil_mode", ceil)
    note = ""
    for size, k, s, p in zip(shapes[0][1:], kernel, stride, padding, strict=False):
        free = size + sum(p) - k
        if (
            ceil
            and not any(p)
            and free >= 0
            and -(-free // s) + 1 > output_size(size, k, s, p, ceil=True)
        ):
            note = "Caffe adds a last window that sees no pixel; it is left out here"
    return Made(
        MaxPool if maximum else AvgPool,
        note,
        kernel=kernel,
        stride=stride,
        padding=padding,
        ceil=ceil,
    )


def _lrn(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    known = ("local_size", "alpha", "beta", "k", "norm_region", "engine")
    param = _param(entry, "lrn_param", known)
    regions = ("ACROSS_CHANNELS", "WITHIN_CHANNEL", "0", "1")
    region = param.choice("norm_region", "ACROSS_CHANNELS", regions)
    if region in ("WITHIN_CHANNEL", "1"):
        return _like(entry, shapes, "LRN within channels")
    return Made(
        LRN,
        size=param.integer("local_size", 5, 1),
        alpha=param.number("alpha", 1.0),
        beta=param.number("beta", 0.75),
        k=param.number("k", 1.0),
    )


def _relu(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "relu_param", ("negative_slope", "engine"))
    slope = param.number("negative_slope", 0.0)
    return Made(LeakyReLU, slope=slope) if slope else Made(ReLU)


def _dropout(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "dropout_param", ("dropout_ratio", "scale_train"))
    return Made(Dropout, p=param.number("dropout_ratio", 0.5))


def _concat(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "concat_param", ("axis", "concat_dim"))
    axis = param.integer("concat_dim", param.integer("axis", 1, -4), -4)
    if axis not in (1, -len(shapes[0])):
        raise entry.error(f"expected axis: 1, the channels, received {axis}.", "concat_param")
    return Made(Concat)


def _eltwise(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "eltwise_param", ("operation", "coeff", "stable_prod_grad"))
    operations = ("PROD", "SUM", "MAX", "0", "1", "2")
    operation = param.choice("operation", "SUM", operations)
    if operation in ("SUM", "1") and all(each == 1 for each in param.numbers("coeff")):
        return Made(Add)
    return _like(entry, shapes, f"Eltwise {operation}")


def _flatten(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "flatten_param", ("axis", "end_axis"))
    if param.integer("axis", 1) != 1 or param.integer("end_axis", -1, -1) != -1:
        raise entry.error("expected axis: 1 and end_axis: -1.", "flatten_param")
    return Made(Flatten)


def _reshape(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    dims = entry.message.message("reshape_param").message("shape").integers("dim", -1)
    if dims[:1] != [0] or dims[1:] not in ([-1], [volume(shapes[0])]):
        raise entry.error("expected shape { dim: 0 dim: -1 }, which flattens.", "reshape_param")
    return Made(Flatten)


def _plain(kind: type[Layer]) -> Reader:
    return lambda entry, shapes: Made(kind)


def _like(entry: Entry, shapes: tuple[Shape, ...], op: str = "") -> Made:
    """Return a layer that gives its input's shape and is only counted."""
    note = "counted, not built"
    return Made(Opaque, note, op=op or entry.type, shape=shapes[0])


def _weighted(entry: Entry, shapes: tuple[Shape, ...], name: str, shape: Shape) -> Made:
    made = _like(entry, shapes)
    made.fields["shapes"] = ((name, shape),)
    return made


def _prelu(entry: Entry, shapes: tuple[Shape, ...]) -> Made:
    param = _param(entry, "prelu_param", ("filler", "channel_shared"))
    shared = param.flag("channel_shared", False)
    return _weighted(entry, shapes, "weight", (1,) if shared else (shapes[0][0],))


READERS: dict[str, Reader] = {
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "InnerProduct": _inner_product,
    "Pooling": _pooling,
    "ReLU": _relu,
    "Sigmoid": _plain(Sigmoid),
    "TanH": _plain(Tanh),
    "Softmax": _plain(Softmax),
    "Dropout": _dropout,
    "LRN": _lrn,
    "BatchNorm": _batch_norm,
    "Scale": _scale,
    "Concat": _concat,
    "Eltwise": _eltwise,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "PReLU": _prelu,
    "Bias": lambda entry, shapes: _weighted(entry, shapes, "bias", (shapes[0][0],)),
    **dict.fromkeys(("ELU", "Power", "Exp", "Log", "AbsVal", "BNLL", "MVN", "Threshold"), _like),
}

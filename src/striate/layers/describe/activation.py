"""Functions of single elements, softmax and dropout, as calls of torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from striate import design
from striate.layers.describe.calls import Call, Unknown, converts


def _plain(name: str, kind: type[design.Layer], **fields: Any) -> None:
    @converts(name)
    def _(call: Call, outs: list[Tensor], input: Tensor, inplace: bool = False) -> list[str]:
        return [call.put(kind, call.value(input), **fields)]


for _name, _kind in (
    ("relu", design.ReLU),
    ("relu6", design.ReLU6),
    ("tanh", design.Tanh),
    ("sigmoid", design.Sigmoid),
    ("silu", design.SiLU),
):
    _plain(_name, _kind)
for _name in "abs exp log sqrt rsqrt sin cos hardswish hardsigmoid mish selu softsign".split():
    _plain(_name, design.Elementwise, function=_name)
_plain("logsigmoid", design.Elementwise, function="log_sigmoid")
_plain("tanhshrink", design.Elementwise, function="tanhshrink")
_plain("neg", design.Elementwise, function="scale", arguments=(-1.0, 0.0))
_plain("square", design.Elementwise, function="power", arguments=(2.0,))
_plain("reciprocal", design.Elementwise, function="power", arguments=(-1.0,))


@converts("leaky_relu")
def _leaky(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> list[str]:
    return [call.put(design.LeakyReLU, call.value(input), slope=float(negative_slope))]


@converts("gelu")
def _gelu(call: Call, outs: list[Tensor], input: Tensor, *, approximate: str = "none") -> list[str]:
    if approximate == "tanh":
        return [call.put(design.Elementwise, call.value(input), function="gelu_tanh")]
    return [call.put(design.GELU, call.value(input))]


@converts("elu", "celu")
def _elu(
    call: Call, outs: list[Tensor], input: Tensor, alpha: float = 1.0, inplace: bool = False
) -> list[str]:
    arguments = (float(alpha),)
    return [
        call.put(design.Elementwise, call.value(input), function=call.name, arguments=arguments)
    ]


@converts("softplus")
def _softplus(
    call: Call, outs: list[Tensor], input: Tensor, beta: float = 1.0, threshold: float = 20.0
) -> list[str]:
    arguments = (float(beta), float(threshold))
    return [
        call.put(design.Elementwise, call.value(input), function="softplus", arguments=arguments)
    ]


@converts("hardtanh")
def _hardtanh(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> list[str]:
    return _clamped(call, input, min_val, max_val)


@converts("clamp", "clip", "clamp_min", "clamp_max")
def _clamp(
    call: Call, outs: list[Tensor], input: Tensor, min: Any = None, max: Any = None
) -> list[str]:
    return _clamped(call, input, *((None, min) if call.name == "clamp_max" else (min, max)))


def _clamped(call: Call, input: Tensor, least: Any, most: Any) -> list[str]:
    if any(isinstance(each, Tensor) for each in (least, most)):
        raise Unknown("its bounds are tensors")
    if (least, most) in ((0, None), (0, 6)):
        return [call.put(design.ReLU if most is None else design.ReLU6, call.value(input))]
    given = [float(each) for each in (least, most) if each is not None]
    function = "between" if len(given) == 2 else "at_least" if most is None else "at_most"
    return [
        call.put(design.Elementwise, call.value(input), function=function, arguments=tuple(given))
    ]


@converts("pow")
def _power(call: Call, outs: list[Tensor], input: Any, exponent: Any) -> list[str]:
    if not isinstance(exponent, int | float):
        raise Unknown("its exponent is a tensor")
    return [
        call.put(
            design.Elementwise,
            call.value(input),
            function="power",
            arguments=(float(exponent),),
        )
    ]


@converts("prelu")
def _prelu(call: Call, outs: list[Tensor], input: Tensor, weight: Tensor) -> list[str]:
    owned = call.own(weight=weight)
    return [call.put(design.PReLU, call.value(input), owned=owned, each=weight.numel() > 1)]


@converts("softmax", "log_softmax")
def _softmax(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: Any = None,
) -> list[str]:
    dim = 1 if dim is None and input.dim() != 3 else dim
    if dim is None or dim % input.dim() != 1 or dtype not in (None, input.dtype):
        raise Unknown("it does not go over channels")
    kind = design.Softmax if call.name == "softmax" else design.LogSoftmax
    return [call.put(kind, call.value(input))]


@converts("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout")
def _dropout(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> list[str]:
    if training and p and not call.tracer.training:
        raise Unknown("it drops in evaluation, too")
    kind = design.Dropout if call.name == "dropout" else design.ChannelDropout
    return [call.put(kind, call.value(input), p=float(p))]

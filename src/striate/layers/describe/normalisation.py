"""Normalisation, as calls of torch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from striate import design
from striate.layers.describe.calls import Call, Unknown, converts


@converts("batch_norm")
def _batch_norm(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> list[str]:
    if (weight is None) != (bias is None):
        raise Unknown("it has a scale or a shift only")
    owned = call.own(weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    if "running_mean" in owned:
        counter = owned["running_mean"].rpartition("running_mean")[0] + "num_batches_tracked"
        if counter in call.tracer.buffers:
            owned["num_batches_tracked"] = counter
    return [
        call.put(
            design.BatchNorm,
            call.value(input),
            owned=owned,
            eps=eps,
            momentum=float(momentum),
            affine=weight is not None,
            running=running_mean is not None,
        )
    ]


@converts("group_norm")
def _group_norm(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> list[str]:
    return [_grouped(call, input, num_groups, weight, bias, eps)]


@converts("instance_norm")
def _instance_norm(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> list[str]:
    if running_mean is not None or not use_input_stats:
        raise Unknown("it normalises instances by running statistics")
    return [_grouped(call, input, None, weight, bias, eps)]


def _grouped(
    call: Call,
    input: Tensor,
    groups: int | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> str:
    if (weight is None) != (bias is None):
        raise Unknown("it has a scale or a shift only")
    return call.put(
        design.GroupNorm,
        call.value(input),
        owned=call.own(weight=weight, bias=bias),
        groups=groups,
        eps=eps,
        affine=weight is not None,
    )


@converts("layer_norm")
def _layer_norm(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> list[str]:
    if weight is None and bias is not None:
        raise Unknown("it has a shift only")
    return [
        call.put(
            design.LayerNorm,
            call.value(input),
            owned=call.own(weight=weight, bias=bias),
            axes=len(normalized_shape),
            eps=eps,
            affine=weight is not None,
            bias=bias is not None,
        )
    ]


@converts("local_response_norm")
def _response_norm(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> list[str]:
    return [call.put(design.LRN, call.value(input), size=size, alpha=alpha, beta=beta, k=float(k))]

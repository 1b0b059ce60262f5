"""Pooling and means over places, as calls of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from striate import design
from striate.layers.describe.calls import Call, Unknown, converts, tuple_of


def _window(
    call: Call, input: Tensor, kernel: Any, stride: Any, padding: Any, ceil: bool
) -> dict[str, Any]:
    axes = len(call.shape(input)) - 1
    sizes = tuple_of(kernel, axes)
    return {
        "kernel": sizes,
        "stride": sizes if stride in (None, [], ()) else tuple_of(stride, axes),
        "padding": tuple((each, each) for each in tuple_of(padding, axes)),
        "ceil": ceil,
    }


@converts(
    *("max_pool1d", "max_pool2d", "max_pool3d"),
    *(f"max_pool{axes}d_with_indices" for axes in (1, 2, 3)),
)
def _max_pool(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> list[str | None]:
    if set(tuple_of(dilation, 3)) != {1}:
        raise Unknown("its window is dilated")
    fields = _window(call, input, kernel_size, stride, padding, ceil_mode)
    name = call.put(design.MaxPool, call.value(input), **fields)
    return [name, None] if len(outs) == 2 else [name]


@converts("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> list[str]:
    if divisor_override is not None:
        raise Unknown("it divides by a number of its own")
    fields = _window(call, input, kernel_size, stride, padding, ceil_mode)
    return [call.put(design.AvgPool, call.value(input), count_padding=count_include_pad, **fields)]


@converts(*(f"adaptive_{kind}_pool{axes}d" for kind in ("avg", "max") for axes in (1, 2, 3)))
def _adaptive(
    call: Call, outs: list[Tensor], input: Tensor, output_size: Any, return_indices: bool = False
) -> list[str | None]:
    space = call.shape(input)[1:]
    asked = (
        (output_size,) * len(space)
        if isinstance(output_size, int) or output_size is None
        else tuple(output_size)
    )
    size = tuple(have if want is None else want for have, want in zip(space, asked, strict=True))
    kind = design.AdaptiveMaxPool if "max" in call.name else design.AdaptiveAvgPool
    name = call.put(kind, call.value(input), size=size)
    return [name, None] if len(outs) == 2 else [name]


@converts("mean")
def _mean(call: Call, outs: list[Tensor], input: Tensor, *dim: Any, **options: Any) -> list[str]:
    return _reduced(call, "mean", input, dim, **options)


@converts("sum")
def _sum(call: Call, outs: list[Tensor], input: Tensor, *dim: Any, **options: Any) -> list[str]:
    return _reduced(call, "sum", input, dim, **options)


@converts("amax")
def _amax(call: Call, outs: list[Tensor], input: Tensor, *dim: Any, **options: Any) -> list[str]:
    return _reduced(call, "max", input, dim, **options)


@converts("max")
def _max(
    call: Call, outs: list[Tensor], input: Tensor, *dim: Any, **options: Any
) -> list[str | None]:
    if len(outs) != 2:
        raise Unknown("it compares values")
    return [*_reduced(call, "max", input, dim, **options), None]


def _reduced(
    call: Call,
    function: Literal["mean", "sum", "max"],
    input: Tensor,
    given: Sequence[Any],
    *,
    dim: Any = None,
    axis: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> list[str]:
    if len(given) > 1 and isinstance(given[-1], bool):
        given, keepdim = given[:-1], given[-1]
    dims = given[0] if len(given) == 1 else given or (dim if axis is None else axis)
    if dims is None or dtype not in (None, input.dtype):
        raise Unknown("it goes over the whole batch, or changes the type")
    dims = [dims] if isinstance(dims, int) else list(dims)
    axes = tuple(sorted((each % input.dim()) - 1 for each in dims))
    if not axes or axes[0] < 0:
        raise Unknown("it goes over the batch")
    shape = call.shape(input)
    places = axes == tuple(range(1, len(shape)))
    if places and function != "sum":
        kind = design.AdaptiveMaxPool if function == "max" else design.AdaptiveAvgPool
        pooled = call.put(kind, call.value(input), size=(1,) * len(axes))
        return [pooled if keepdim else call.put(design.Flatten, pooled)]
    return [call.put(design.Reduce, call.value(input), function=function, axes=axes, keep=keepdim)]

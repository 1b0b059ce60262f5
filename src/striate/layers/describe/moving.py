"""Reshaping, cutting, padding and resizing, as calls of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from striate import design
from striate.design import Shape
from striate.design.moving import Range
from striate.layers.describe.calls import SAME, Call, Unknown, converts, tuple_of

_ALL: Range = (0, None, 1)


@converts(*SAME)
def _same(call: Call, outs: list[Tensor], input: Tensor, *args: Any, **kwargs: Any) -> list[str]:
    if call.tracer.recorder is not None and outs and outs[0].dtype != input.dtype:
        raise Unknown("it changes the type")  # on paper numbers have none
    call.loose = True
    return [call.value(input, loose=True)]


@converts("expand", "expand_as")
def _expand(call: Call, outs: list[Tensor], input: Tensor, *sizes: Any, **kwargs: Any) -> list[str]:
    if outs and outs[0].dim() != input.dim():
        raise Unknown("it adds axes")
    call.loose = True  # a product repeats it just as well
    return [call.value(input, loose=True)]


@converts("flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze", "reshape_as")
def _reshape(call: Call, outs: list[Tensor], input: Tensor, *args: Any, **kwargs: Any) -> list[str]:
    value, before = call.value(input), call.shape(input)
    if not outs:
        return [call.put(design.Reshape, value, shape=_asked(call.name, args))]
    after = tuple(outs[0].shape[1:])
    return [_shaped(call, value, before, after)]


def _shaped(call: Call, value: str, before: Shape, after: Shape) -> str:
    """Return a value in another shape: itself, a vector, or any."""
    if after == before:
        return value
    if len(after) == 1:
        return call.put(design.Flatten, value)
    alike = [a == b for a, b in zip(reversed(before[1:]), reversed(after[1:]), strict=False)]
    kept = [*alike, False].index(False)  # so many axes at the end, whatever the channels become
    return call.put(design.Reshape, value, shape=after or (1,), kept=kept)


def _asked(name: str, args: Sequence[Any]) -> Shape:
    """Return the shape that a refused view or reshape asked for, without batch."""
    sizes = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
    if name not in ("view", "reshape") or not all(isinstance(each, int) for each in sizes):
        raise Unknown("no shape was asked for")
    if len(sizes) < 2 or min(sizes[1:]) < 1:
        raise Unknown("part of the shape was left open")
    return tuple(sizes[1:])


@converts("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis")
def _permute(call: Call, outs: list[Tensor], input: Tensor, *args: Any, **kwargs: Any) -> list[str]:
    order = _order(call.name, input.dim(), args, kwargs)
    if order[0] != 0:
        raise Unknown("it moves the batch")
    return [call.put(design.Permute, call.value(input), order=tuple(a - 1 for a in order[1:]))]


def _order(name: str, axes: int, args: Sequence[Any], kwargs: dict[str, Any]) -> list[int]:
    given = [*args, *kwargs.values()]
    if name == "permute":
        dims = given[0] if len(given) == 1 else given
        return [each % axes for each in dims]
    if name.startswith("move") or not all(isinstance(each, int) for each in given):
        raise Unknown("its axes are not understood")
    order = list(range(axes))
    a, b = (each % axes for each in given)
    order[a], order[b] = order[b], order[a]
    return order


@converts("chunk", "split", "split_with_sizes", "unsafe_chunk", "unsafe_split")
def _split(call: Call, outs: list[Tensor], input: Tensor, *args: Any, **kwargs: Any) -> list[str]:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0) % input.dim()
    if dim == 0:
        raise Unknown("it cuts the batch")
    names, start = [], 0
    for each in outs:
        stop = start + each.shape[dim]
        ranges = (*(_ALL,) * (dim - 1), (start, stop, 1))
        names.append(call.put(design.Slice, call.value(input), ranges=ranges))
        start = stop
    return names


@converts("narrow")
def _narrow(
    call: Call, outs: list[Tensor], input: Tensor, dim: int, start: int, length: int
) -> list[str]:
    if dim % input.dim() == 0:
        raise Unknown("it cuts the batch")
    ranges = (*(_ALL,) * (dim % input.dim() - 1), (start, start + length, 1))
    return [call.put(design.Slice, call.value(input), ranges=ranges)]


@converts("getitem")
def _getitem(call: Call, outs: list[Tensor], input: Tensor, index: Any) -> list[str]:
    index = index if isinstance(index, tuple) else (index,)
    used = sum(each is not None and each is not Ellipsis for each in index)
    if Ellipsis in [each for each in index if not isinstance(each, Tensor)]:
        at = next(i for i, each in enumerate(index) if each is Ellipsis)
        index = (*index[:at], *(slice(None),) * (input.dim() - used), *index[at + 1 :])
    if not all(each is None or isinstance(each, int | slice) for each in index):
        raise Unknown("its index is a tensor")
    taken = [each for each in index if each is not None]
    if not taken or index[0] is None or taken[0] != slice(None):
        raise Unknown("it cuts the batch")
    shape = call.shape(input)
    ranges = tuple(_range(each, size) for each, size in zip(taken[1:], shape, strict=False))
    value = call.value(input)
    if any(each != _ALL for each in ranges):
        value = call.put(design.Slice, value, ranges=ranges)
    return [_shaped(call, value, call.tracer.shapes[value], tuple(outs[0].shape[1:]))]


def _range(index: int | slice, size: int) -> Range:
    if isinstance(index, int):
        return (index % size, index % size + 1, 1)
    start, stop, step = index.indices(size)
    if step < 1:
        raise Unknown("it goes backwards")
    return (start, None if stop >= size else stop, step)


@converts("pad")
def _pad(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> list[str]:
    modes: dict[str, Literal["zero", "reflect", "edge"]] = {
        "constant": "zero",
        "reflect": "reflect",
        "replicate": "edge",
    }
    shape, name = call.shape(input), call.value(input)
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    pairs = [(0, 0)] * (len(shape) - len(pairs)) + pairs
    if mode not in modes or value or len(pairs) > len(shape) or min(pad) < 0:
        raise Unknown("it pads with something else than zeros or what is there")
    channels, *space = pairs
    if channels != (0, 0):
        extra = sum(channels)
        if mode != "constant" or channels[0] != extra // 2:
            raise Unknown("it pads channels unevenly")
        ones = (1,) * len(space)
        name = call.put(design.Shortcut, name, features=shape[0] + extra, stride=ones)
    if any(map(any, space)):
        name = call.put(design.Pad, name, padding=tuple(space), mode=modes[mode])
    return [name]


@converts("interpolate", "upsample")
def _interpolate(
    call: Call,
    outs: list[Tensor],
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> list[str]:
    shape = call.shape(input)
    axes = len(shape) - 1
    modes: dict[str, Literal["nearest", "linear", "cubic"]] = {
        "nearest": "nearest",
        "linear": "linear",
        "bilinear": "linear",
        "trilinear": "linear",
        "bicubic": "cubic",
    }
    if mode not in modes or antialias:
        raise Unknown(f"it resizes by {mode}{' with antialiasing' if antialias else ''}")
    fields: dict[str, Any] = {"mode": modes[mode], "corners": bool(align_corners)}
    if scale_factor is not None and not recompute_scale_factor:
        factors = scale_factor if isinstance(scale_factor, Sequence) else [scale_factor] * axes
        fields["scale"] = tuple(map(float, factors))
    else:
        fields["size"] = tuple(outs[0].shape[2:]) if outs else tuple_of(size, axes)
    return [call.put(design.Resize, call.value(input), **fields)]


@converts("pixel_shuffle")
def _pixel_shuffle(call: Call, outs: list[Tensor], input: Tensor, upscale_factor: int) -> list[str]:
    (channels, height, width), r = call.shape(input), upscale_factor
    cut = (channels // r**2, r, r, height, width)
    name = call.put(design.Reshape, call.value(input), shape=cut, kept=2)
    name = call.put(design.Permute, name, order=(0, 3, 1, 4, 2))
    return [call.put(design.Reshape, name, shape=(cut[0], height * r, width * r))]


@converts("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: Call, outs: list[Tensor], input: Tensor, groups: int) -> list[str]:
    shape, kept = call.shape(input), len(call.shape(input)) - 1
    cut = (groups, shape[0] // groups, *shape[1:])
    name = call.put(design.Reshape, call.value(input), shape=cut, kept=kept)
    name = call.put(design.Permute, name, order=(1, 0, *range(2, len(cut))))
    return [call.put(design.Reshape, name, shape=shape, kept=kept)]

"""ONNX's operators that move, cut and resize values, as records; the batch always stays first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from striate import design
from striate.weights.onnx.call import Call, Value
from striate.weights.onnx.folding import resolved, slices, whole

Padding = tuple[int, int]


def _reshape(call: Call) -> list[Value]:
    wanted = call.get("shape") if not call.given(1) else call.constant(1, "its shape")
    full = call.full()
    sizes = whole(wanted)
    if call.get("allowzero", 0) and 0 in sizes:
        raise call.refuse("a size of 0 cannot be read")
    if call.free and len(sizes) > 1 and sizes[0] == 0:  # 0 is the batch, whatever it is
        sizes = (full[0], *sizes[1:])
    try:
        sizes = resolved(sizes, full)
    except (ValueError, IndexError) as error:
        raise call.refuse(str(error)) from error
    return [call.shaped(sizes)]


def _flatten(call: Call) -> list[Value]:
    axis = int(call.get("axis", 1))
    if call.axis(axis) != 0:
        raise call.refuse(f"expected the batch to stay, received axis={axis}")
    return [call.value(0) if len(call.shape()) == 1 else call.put(design.Flatten)]


def _squeeze(call: Call) -> list[Value]:
    full, axes = call.full(), call.axes(1, "axes")
    if axes is None:
        axes = tuple(at for at, size in enumerate(full) if size == 1 and at)
    gone = {axis % len(full) for axis in axes}
    if any(full[axis] != 1 for axis in gone):
        raise call.refuse(f"expected axes of size 1, received axes={axes} of {full}")
    return [call.shaped(tuple(size for at, size in enumerate(full) if at not in gone))]


def _unsqueeze(call: Call) -> list[Value]:
    axes = call.axes(1, "axes") or ()
    full = list(call.full())
    for axis in sorted(axis % (len(full) + len(axes)) for axis in axes):
        full.insert(axis, 1)
    return [call.shaped(tuple(full))]


def _transpose(call: Call) -> list[Value]:
    rank = len(call.full())
    order = whole(call.get("perm") or tuple(reversed(range(rank))))
    if order[0] != 0:
        raise call.refuse(f"expected the batch to stay first, received perm={order}")
    if order == tuple(range(rank)):
        return [call.value(0)]
    return [call.put(design.Permute, order=tuple(axis - 1 for axis in order[1:]))]


def _pad(call: Call) -> list[Value]:
    modes: dict[str, Literal["zero", "reflect", "edge"]]
    modes = {"constant": "zero", "reflect": "reflect", "edge": "edge"}
    mode, rank = str(call.get("mode", "constant")), len(call.full())
    pads = whole(call.constant(1, "its padding") if call.given(1) else call.get("pads", ()))
    filled = call.constant(2, "its value").ravel() if call.given(2) else [call.get("value", 0.0)]
    axes = call.axes(3, "axes")
    chosen = range(rank) if axes is None else [axis % rank for axis in axes]
    if mode not in modes or (mode == "constant" and any(map(float, filled))):
        raise call.refuse(f"padding by mode {mode!r} with {float(filled[0])} cannot be read")
    ends: list[Padding] = [(0, 0)] * rank
    for axis, before, after in zip(chosen, pads[: len(chosen)], pads[len(chosen) :], strict=True):
        ends[axis] = (before, after)
    batch, channels, *space = ends
    if any(batch) or min(map(min, ends)) < 0:
        raise call.refuse(f"expected padding of the image, received pads={pads}")
    if any(channels):  # of a shortcut without parameters
        extra = sum(channels)
        if mode != "constant" or any(map(any, space)) or channels[0] != extra // 2:
            raise call.refuse(f"expected padding of the image, received pads={pads}")
        features = call.shape()[0] + extra
        source, stride = call.shortcut()
        return [call.put(design.Shortcut, source, features=features, stride=stride)]
    if not any(map(any, space)):
        return [call.value(0)]
    return [call.put(design.Pad, padding=tuple(space), mode=modes[mode])]


def _slice(call: Call) -> list[Value]:
    given = [each if isinstance(each, np.ndarray) else None for each in call.inputs]
    batch, *ranges = slices(call.node, given, len(call.full()))
    if batch[0] or batch[1] or batch[2] != 1 or min(step for _, _, step in ranges) < 1:
        raise call.refuse("only channels and pixels can be cut, forwards")
    plain = tuple((start or 0, stop, step) for start, stop, step in ranges)
    return [call.put(design.Slice, ranges=plain)]


def _split(call: Call) -> list[Value]:
    axis, shape = call.axis(int(call.get("axis", 0))), call.shape()
    sizes = whole(call.constant(1, "its sizes")) if call.given(1) else call.get("split")
    count = len(call.node.outputs)
    if sizes is None:
        each = -(-shape[axis] // count)
        sizes = (each,) * (count - 1) + (shape[axis] - each * (count - 1),)
    found, start = [], 0
    for size in whole(sizes):
        ranges = ((0, None, 1),) * axis + ((start, start + size, 1),)
        found.append(call.put(design.Slice, ranges=ranges))
        start += size
    return found


def _resize(call: Call) -> list[Value]:
    mode, old = str(call.get("mode", "nearest")), call.node.operator == "Upsample"
    rule = call.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    space = call.shape()[1:]
    sizes = _resized(call, old, space)
    enlarged = all(after % before == 0 for before, after in zip(space, sizes, strict=True))
    between = rule in ("half_pixel", "pytorch_half_pixel", "align_corners")
    fits = {
        "nearest": enlarged and rule in ("asymmetric", "half_pixel", "pytorch_half_pixel"),
        "linear": between,
        "cubic": between and abs(float(call.get("cubic_coeff_a", -0.75)) + 0.75) < 1e-6,
    }
    if not fits.get(mode, False) or call.get("antialias", 0):
        raise call.refuse(f"resizing by mode {mode!r} and {rule!r} from {space} cannot be read")
    return [call.put(design.Resize, size=sizes, mode=mode, corners=rule == "align_corners")]


def _resized(call: Call, old: bool, space: tuple[int, ...]) -> tuple[int, ...]:
    """Return the size after a Resize, given itself or by factors."""
    if not old and call.given(3):
        return whole(call.constant(3, "its sizes"))[2:]
    place = 1 if old else 2
    factors = call.constant(place, "its factors") if call.given(place) else call.get("scales", ())
    if len(factors) != len(space) + 2:
        raise call.refuse("expected its factors as constants")
    return tuple(int(size * float(by)) for size, by in zip(space, factors[2:], strict=True))


MOVING: dict[str, Callable[[Call], list[Value]]] = {
    "Flatten": _flatten,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
}

"""Receptive fields on any graph, exact: which input pixels a unit depends on.

Per axis a value has a field size r, a stride j (input pixels between neighbouring units) and an
offset (where the first unit's field starts, in pixels, negative inside the padding). A window of
extent k, stride s and padding p turns (r, j, o) into (r + (k - 1) j, j s, o - p j). Where branches
meet, the field is the union; branches whose fields are not concentric are reported as unaligned
with both values, and of branches with different strides the coarsest counts.

Source: Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

from striate.design.arithmetic import adaptive_windows
from striate.design.layer import Layer, Shape, Window
from striate.design.network import Network
from striate.design.pooling import AdaptivePool, Pool
from striate.records import Record


class Axis(Record, frozen=True, kw_only=True):
    """A field along one axis, in input pixels."""

    size: int
    stride: int
    offset: int


class Field(Record, frozen=True, kw_only=True):
    """The receptive field of a value's units.

    Args:
        axes: one for each spatial axis.
        aligned: whether all branches that lead here are concentric and of one stride.
        alternatives: the different fields of the branches, where they are not.
        whole: every unit depends on the whole input.
    """

    axes: tuple[Axis, ...]
    aligned: bool = True
    alternatives: tuple[tuple[Axis, ...], ...] = ()
    whole: bool = False


def receptive_fields(network: Network) -> dict[str, Field]:
    """Return the field of every value by name, for the first input."""
    shapes = network.shapes()
    first = network.inputs[0]
    space = first.shape[1:]
    start = Field(axes=tuple(Axis(size=1, stride=1, offset=0) for _ in space))
    fields = {each.name: start for each in network.inputs}
    for layer in network.layers:
        field = union([fields[name] for name in layer.inputs])
        window = layer.window(*network.input_shapes(layer))
        if layer.whole or len(shapes[layer.name]) == 1:
            field = _everything(space)
        elif window is not None and not field.whole:
            field = _upsampled(field, window) if window.up else _through(field, window)
            if isinstance(layer, AdaptivePool):
                field = _uneven(field, layer, shapes[layer.inputs[0]][1:])
        fields[layer.name] = field
    return fields


def last_with_places(network: Network) -> str:
    """Return the last value before global pooling or flattening, on the way to the main output.

    Its units still stand somewhere in the image, so that its field is the one people quote:
    ResNet-152's 1,451 pixels. Without any such value it is the main output.
    """
    shapes, layers = network.shapes(), {layer.name: layer for layer in network.layers}
    name = network.outputs[0].source
    while name in layers:
        layer = layers[name]
        if len(shapes[name]) > 1 and not _collapses(layer, shapes[layer.inputs[0]], shapes[name]):
            return name
        name = layer.inputs[0]
    return network.outputs[0].source


def _collapses(layer: Layer, before: Shape, after: Shape) -> bool:
    """Tell whether a layer pools all places into one, or works on what has been pooled."""
    if isinstance(layer, Pool | AdaptivePool):
        return max(after[1:]) == 1 < max(before[1:])
    return max(after[1:]) == 1 == max(before[1:])


def union(fields: Sequence[Field]) -> Field:
    """Return the smallest field that covers all; says where they are not aligned."""
    distinct = list(dict.fromkeys(field.axes for field in fields))
    if any(field.whole for field in fields):
        return next(field for field in fields if field.whole)
    if len(distinct) == 1:
        return next((field for field in fields if not field.aligned), fields[0])
    aligned = all(field.aligned for field in fields) and _concentric(distinct)
    return Field(
        axes=tuple(map(_cover, zip(*distinct, strict=True))),
        aligned=aligned,
        alternatives=() if aligned else tuple(distinct),
    )


def _through(field: Field, window: Window) -> Field:
    """Return the field behind windows that slide over the input."""

    def step(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(
            Axis(
                size=a.size + (k - 1) * a.stride,
                stride=a.stride * s,
                offset=a.offset - p * a.stride,
            )
            for a, k, s, p in zip(axes, window.kernel, window.stride, window.before, strict=True)
        )

    return field.replace(
        axes=step(field.axes), alternatives=tuple(step(each) for each in field.alternatives)
    )


def _upsampled(field: Field, window: Window) -> Field:
    """Return the field behind a transposed convolution, whose units come in `up` phases.

    Phase o sees the pixels i with 0 <= o + before - i up < kernel. Where phases see differently
    many, or the stride does not divide, they are not aligned; the field covers them all.
    """
    phases = [
        tuple(
            _phase(axis, k, up, p, min(phase, up - 1))
            for axis, k, up, p in zip(
                field.axes, window.kernel, window.up, window.before, strict=True
            )
        )
        for phase in range(max(window.up))
    ]
    distinct = tuple(dict.fromkeys(phases))
    even = len({tuple(axis.size for axis in axes) for axes in distinct}) == 1 and all(
        axis.stride % up == 0 for axis, up in zip(field.axes, window.up, strict=True)
    )
    aligned = field.aligned and even
    return Field(
        axes=tuple(map(_cover, zip(*distinct, strict=True))),
        aligned=aligned,
        alternatives=() if aligned else distinct,
    )


def _phase(axis: Axis, kernel: int, up: int, before: int, phase: int) -> Axis:
    """Return what units number phase, phase + up, ... see, as if all units were of this phase."""
    first = -((kernel - 1 - phase - before) // up)
    last = (phase + before) // up
    stride = max(1, axis.stride // up)
    return Axis(
        size=axis.size + max(last - first, 0) * axis.stride,
        stride=stride,
        offset=axis.offset + first * axis.stride - phase * axis.stride // up,
    )


def _uneven(field: Field, layer: AdaptivePool, space: Shape) -> Field:
    """Say where adaptive windows differ in size; the field is that of the widest."""
    windows = [adaptive_windows(*axis) for axis in zip(space, layer.size, strict=True)]
    sizes = [sorted({end - start for start, end in axis}) for axis in windows]
    if all(len(each) == 1 for each in sizes):
        return field
    narrow = tuple(
        axis.replace(size=axis.size - (each[-1] - each[0]) * axis.stride // _steps(axis, wins))
        for axis, each, wins in zip(field.axes, sizes, windows, strict=True)
    )
    return field.replace(aligned=False, alternatives=(field.axes, narrow))


def _steps(axis: Axis, windows: list[tuple[int, int]]) -> int:
    """Return how many input places lie between neighbouring windows, as the stride counts them."""
    if len(windows) == 1:
        return 1
    return max(windows[1][0] - windows[0][0], 1)  # 0 where there are more windows than places


def _cover(axes: Sequence[Axis]) -> Axis:
    start = min(axis.offset for axis in axes)
    end = max(axis.offset + axis.size for axis in axes)
    return Axis(size=end - start, stride=max(axis.stride for axis in axes), offset=start)


def _concentric(branches: Sequence[tuple[Axis, ...]]) -> bool:
    return all(
        len({axis.stride for axis in axes}) == 1
        and len({2 * axis.offset + axis.size for axis in axes}) == 1
        for axes in zip(*branches, strict=True)
    )


def _everything(space: Shape) -> Field:
    return Field(axes=tuple(Axis(size=s, stride=s, offset=0) for s in space), whole=True)

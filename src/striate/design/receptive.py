"""Receptive fields on any graph, exact: which input pixels a unit depends on.

Per axis a value has a field size r, a stride j (input pixels between neighbouring units) and an
offset (where the first unit's field starts, in pixels, negative inside the padding). A window of
extent k, stride s and padding p turns (r, j, o) into (r + (k - 1) j, j s, o - p j). Where branches
meet, the field is the union; branches whose fields are not concentric are reported as unaligned
with both values, and of branches with different strides the coarsest counts. What is repeated from
one place (the gates of squeeze-and-excitation) looks at the same pixels wherever the unit stands:
the field is the whole image from there on, and the stride goes on as that of the map.

Source: Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from striate.design.arithmetic import adaptive_windows
from striate.design.layer import Layer, Shape, Window
from striate.design.moving import Resize
from striate.design.network import Network
from striate.design.places import Axes, places, repeated
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
        whole: every unit depends on the whole input; the stride is the input's size where units
            have no place in it any more.
    """

    axes: tuple[Axis, ...]
    aligned: bool = True
    alternatives: tuple[tuple[Axis, ...], ...] = ()
    whole: bool = False


def receptive_fields(network: Network) -> dict[str, Field]:
    """Return the field of every value by name, for the first input."""
    shapes, axes = network.shapes(), places(network)
    first = network.inputs[0]
    space = first.shape[1:]
    start = Field(axes=tuple(Axis(size=1, stride=1, offset=0) for _ in space))
    fields = {each.name: start for each in network.inputs}
    for layer in network.layers:
        window = layer.window(*network.input_shapes(layer))
        to = axes[layer.name]
        steady = [
            fields[name]
            for name in layer.inputs
            if not (window is None or isinstance(layer, Resize))
            or not repeated(shapes[name], axes[name], shapes[layer.name], to)
        ]
        field = union(steady) if steady else _everything(space)
        if layer.whole or not to:
            field = _everything(space)
        elif len(steady) < len(layer.inputs):
            field = _everything(space, steady)
        elif window is not None:
            window = _turned(window, axes[layer.inputs[0]])
            field = _upsampled(field, window) if window.up else _through(field, window)
            if isinstance(layer, AdaptivePool):
                read = shapes[layer.inputs[0]]
                field = _uneven(field, [(read[a], shapes[layer.name][a]) for a in to])
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
    whole = next((field for field in fields if field.whole), None)
    if whole is not None:
        return _everything(tuple(axis.size for axis in whole.axes), fields)
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
    if field.whole:
        return _coarser(field, window.stride)

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
    if field.whole:
        return _coarser(field, tuple(Fraction(1, up) for up in window.up))
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


def _uneven(field: Field, sizes_between: Sequence[tuple[int, int]]) -> Field:
    """Say where adaptive windows differ in size; the field is that of the widest."""
    windows = [adaptive_windows(*axis) for axis in sizes_between]
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


def _everything(space: Shape, fields: Sequence[Field] = ()) -> Field:
    """Return the field of units that see all of the input, with the stride of those that stand."""
    strides = [[field.axes[at].stride for field in fields] for at in range(len(space))]
    return Field(
        axes=tuple(
            Axis(size=size, stride=max((j for j in each if j < size), default=size), offset=0)
            for size, each in zip(space, strides, strict=True)
        ),
        whole=True,
    )


def _coarser(field: Field, factors: Sequence[Fraction | int]) -> Field:
    """Return a field that is whole, with its units so many times further apart."""
    return field.replace(
        axes=tuple(
            axis.replace(stride=min(axis.size, max(1, int(axis.stride * factor))))
            if axis.stride < axis.size
            else axis
            for axis, factor in zip(field.axes, factors, strict=True)
        )
    )


def _turned(window: Window, axes: Axes) -> Window:
    """Return a window with its axes in the order of the image's."""
    parts = (window.kernel, window.stride, window.before, window.up)
    return Window(*(tuple(each[axis - 1] for axis in axes) if each else () for each in parts))

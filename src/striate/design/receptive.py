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

from striate.design.layer import Layer, Shape
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
            field = _through(field, window.kernel, window.stride, window.before)
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


def _through(
    field: Field, kernel: Sequence[int], stride: Sequence[int], before: Sequence[int]
) -> Field:
    def step(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(
            Axis(
                size=a.size + (k - 1) * a.stride,
                stride=a.stride * s,
                offset=a.offset - p * a.stride,
            )
            for a, k, s, p in zip(axes, kernel, stride, before, strict=True)
        )

    return field.replace(
        axes=step(field.axes), alternatives=tuple(step(each) for each in field.alternatives)
    )


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

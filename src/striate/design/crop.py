"""The pixels that one unit depends on: its receptive field, cut at the image's border.

`receptive_fields` says it for all units of a value at once, and says where branches disagree; for a
single unit there is nothing to disagree about. Its box is followed back through every branch, so
that it is exact for any graph, stride and upsampling.
"""

from __future__ import annotations

from collections.abc import Sequence

from striate.design.arithmetic import adaptive_windows
from striate.design.layer import Layer, Window
from striate.design.names import no_such_part
from striate.design.network import Network
from striate.design.places import Axes, places
from striate.design.pooling import AdaptivePool
from striate.errors import DesignError

Span = tuple[int, int]  # first place, and one after the last
Box = tuple[Span, ...]


def crop(network: Network, layer: str, place: Sequence[int]) -> Box:
    """Return the box of input pixels that a unit depends on, within the image.

    Args:
        network: on paper.
        layer: the value that the unit belongs to.
        place: where it stands there, one index an axis (row, column); empty for a unit of a vector.

    Returns:
        (start, end) on each axis of the first input, `end` not included.

    Raises:
        DesignError: no such place.
        UsageError: no such layer; carries the nearest names.

    Example:
        >>> from striate import zoo
        >>> crop(zoo.network("lenet"), "pool1", (0, 3))
        ((0, 4), (4, 10))
    """
    shapes = network.shapes()
    if layer not in shapes:
        raise no_such_part(network.name, layer, shapes)
    space = shapes[layer][1:]
    if len(place) != len(space) or any(
        not 0 <= at < size for at, size in zip(place, space, strict=True)
    ):
        raise DesignError(f"{layer}: expected a place within {space}, received {tuple(place)}.")
    axes = places(network)
    inside = ((0, shapes[layer][0]), *((at, at + 1) for at in place))
    boxes: dict[str, Box] = {layer: tuple(inside[axis] for axis in axes[layer])}
    for record in reversed(network.layers):
        if record.name in boxes:
            for name in record.inputs:
                before = _before(record, boxes[record.name], name, network, axes)
                boxes[name] = _cover(boxes[name], before) if name in boxes else before
    first = network.inputs[0]
    return boxes.get(first.name, tuple((0, 0) for _ in first.shape[1:]))


def _before(record: Layer, box: Box, name: str, network: Network, axes: dict[str, Axes]) -> Box:
    """Return the box of an input that a box of a layer's output depends on."""
    shapes, of, to = network.shapes(), axes[name], axes[record.name]
    sizes = tuple(shapes[name][axis] for axis in of)
    if record.whole or not to:
        return tuple((0, size) for size in sizes)
    after = tuple(shapes[record.name][axis] for axis in to)
    if isinstance(record, AdaptivePool):
        windows = [adaptive_windows(*axis) for axis in zip(sizes, after, strict=True)]
        return tuple(
            (axis[start][0], axis[end - 1][1])
            for axis, (start, end) in zip(windows, box, strict=True)
        )
    window = record.window(*network.input_shapes(record))
    if window is None:  # another size is one place repeated, or resized by no whole factor
        return tuple(
            span if size == now else (0, size)
            for span, size, now in zip(box, sizes, after, strict=False)
        )
    return tuple(
        _through(window, axis - 1, span, size)
        for axis, span, size in zip(of, box, sizes, strict=False)
    )


def _through(window: Window, axis: int, span: Span, size: int) -> Span:
    """Return the places that a span of windows covers, within the input.

    A window that lies in the padding altogether depends on the nearest place: padding may repeat or
    mirror it.
    """
    first, last = span[0], span[1] - 1
    kernel, before = window.kernel[axis], window.before[axis]
    if window.up:
        up = window.up[axis]
        start, end = -((kernel - 1 - first - before) // up), (last + before) // up + 1
    else:
        stride = window.stride[axis]
        start, end = first * stride - before, last * stride - before + kernel
    start, end = min(max(start, 0), size - 1), max(min(end, size), 1)
    return start, max(end, start + 1)


def _cover(one: Box, other: Box) -> Box:
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))

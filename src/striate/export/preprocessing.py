"""The contract as part of an ONNX graph: from decoded 8-bit pixels of any size to the network.

The arithmetic is the contract's own, to the bit where it is Pillow's: filter weights in float64,
rounded to 22 fractional bits, columns and rows in the order of `data.prepare.heights_first`, each
result a whole grey level. In float64 products and sums of such numbers are exact. Only the pixels
that the crop keeps are computed.

Source of the arithmetic: Pillow, libImaging/Resample.c.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import numpy as np

from striate.contract import Contract, Resize
from striate.errors import UsageError
from striate.export.graph import Pen

_BITS = 22
_REACH = {"box": 0.5, "bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
_LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in 1/65536


V = TypeVar("V")


class Axis(NamedTuple, Generic[V]):
    """One axis of the resize: values in the graph.

    Args:
        length: of the image as it is.
        taps: its pixels' numbers, 0 to length - 1.
        target: of the image once it is resized.
        offset: where the network's first pixel lies in that.
        out: the network's size.
    """

    length: V
    taps: V
    target: V
    offset: V
    out: int


def preprocess(graph: Pen[V], pixels: V, contract: Contract) -> V:
    """Append the contract to a graph.

    Args:
        graph: being written, or computed.
        pixels: (batch, height, width, 3) uint8, red first.
        contract: channels, resize, crop, background and normalisation are taken from it.

    Returns:
        (batch, channels, *contract.size) float32.

    Raises:
        UsageError: a resize that cannot be written as a graph.
    """
    image = graph.op("Transpose", pixels, perm=[0, 3, 1, 2])
    image = _channels(graph, image, contract)
    rows, columns = _axes(graph, pixels, contract)
    resized, covered = _resized(graph, image, rows, columns, contract.resize)
    if contract.resize.pads:
        resized = graph.op("Where", covered, resized, _background(graph, contract))
    slope, offset = (np.array(each, np.float32)[None, :, None, None] for each in contract.forward)
    scaled = graph.op("Mul", resized, graph.constant(slope))
    return graph.op("Add", scaled, graph.constant(offset))


def _channels(graph: Pen[V], image: V, contract: Contract) -> V:
    """Return (batch, channels, height, width) uint8 in the network's channels."""
    if contract.channels == "bgr":
        return graph.op("Gather", image, graph.integers(2, 1, 0), axis=1)
    if contract.channels == "rgb":
        return image
    luma = graph.constant(np.array(_LUMA, np.float64)[None, :, None, None])
    weighted = graph.op("Mul", graph.cast(image, "DOUBLE"), luma)
    total = graph.op("ReduceSum", weighted, graph.integers(1), keepdims=1)
    rounded = graph.op("Add", total, graph.double(32768.0))
    level = graph.op("Floor", graph.op("Div", rounded, graph.double(65536.0)))
    return graph.cast(level, "UINT8")


def _axes(graph: Pen[V], pixels: V, contract: Contract) -> tuple[Axis[V], Axis[V]]:
    """Return both axes: what `data.prepare.resized_size` and the crop come to, in the graph."""
    height, width = (graph.size(pixels, axis) for axis in (1, 2))
    by_height, by_width = contract.resize.size
    targets = _targets(graph, height, width, contract.resize, by_height, by_width)
    axes: list[Axis[V]] = []
    for length, target, out in zip((height, width), targets, contract.size, strict=True):
        free = graph.op("Sub", target, graph.integer(out))
        if contract.resize.pads:
            # The canvas is the resize's size: half of what is missing is before the image.
            canvas = contract.resize.size[len(axes)]
            left = graph.op("Sub", graph.integer(canvas), target)
            before = graph.op("Div", left, graph.integer(2))
            crop = graph.integer(round((canvas - out) / 2))
            offset = graph.op("Sub", crop, before)
        elif contract.crop == "centre":
            half = graph.op("Div", graph.cast(free, "DOUBLE"), graph.double(2.0))
            offset = graph.cast(graph.op("Round", half), "INT64")
        else:
            offset = graph.integer(0)
        taps = graph.places(pixels, len(axes) + 1)
        axes.append(Axis(length, taps, target, offset, out))
    return axes[0], axes[1]


def _targets(
    graph: Pen[V], height: V, width: V, resize: Resize, by_height: int, by_width: int
) -> tuple[V, V]:
    """Return (height, width) that the image is scaled to."""
    if resize.rule == "none":
        return height, width
    tall, wide = graph.integer(by_height), graph.integer(by_width)
    if resize.rule == "exact":
        return tall, wide
    other_width = graph.op("Div", graph.op("Mul", tall, width), height)
    other_height = graph.op("Div", graph.op("Mul", wide, height), width)
    taller = graph.op("GreaterOrEqual", graph.op("Mul", tall, width), graph.op("Mul", wide, height))
    first = ((tall, other_width), (other_height, wide))
    one, two = first if resize.rule == "short_side" else first[::-1]
    found = [graph.op("Where", taller, a, b) for a, b in zip(one, two, strict=True)]
    if resize.rule != "short_side":
        found = [graph.op("Max", each, graph.integer(1)) for each in found]
    if resize.rule == "frame":
        inside = graph.op(
            "And",
            graph.op("LessOrEqual", height, tall),
            graph.op("LessOrEqual", width, wide),
        )
        found = [
            graph.op("Where", inside, a, b) for a, b in zip((height, width), found, strict=True)
        ]
    return found[0], found[1]


def _resized(
    graph: Pen[V], image: V, rows: Axis[V], columns: Axis[V], resize: Resize
) -> tuple[V, V]:
    """Return the resized and cropped image as float32, and which pixels the image covers."""
    whole = resize.arithmetic == "uint8" and resize.antialias
    plain = resize.antialias or resize.filter in ("bilinear", "box")
    if resize.rule != "none" and (resize.filter == "nearest" or not plain):
        raise UsageError(
            f"A resize by {resize.filter} "
            + ("" if resize.antialias else "without antialiasing ")
            + "cannot be exported: expected bilinear, box, or bicubic and lanczos with it."
        )
    down, row_covered = _weights(graph, rows, resize, whole)
    across, column_covered = _weights(graph, columns, resize, whole)
    across = graph.op("Transpose", across, perm=[1, 0])
    if whole:
        made = _whole_levels(graph, graph.cast(image, "DOUBLE"), rows, columns, down, across)
    else:
        value = graph.cast(image, "FLOAT")
        value = graph.op("MatMul", graph.cast(down, "FLOAT"), value)
        made = graph.op("MatMul", value, graph.cast(across, "FLOAT"))
        if resize.arithmetic == "uint8":
            bounds = (graph.constant(np.float32(0)), graph.constant(np.float32(255)))
            made = graph.op("Clip", graph.op("Round", made), *bounds)
    tall = graph.op("Unsqueeze", row_covered, graph.integers(1))
    covered = graph.op("And", tall, graph.op("Unsqueeze", column_covered, graph.integers(0)))
    return made, covered


def _whole_levels(
    graph: Pen[V], value: V, rows: Axis[V], columns: Axis[V], down: V, across: V
) -> V:
    """Return the image resized in Pillow's order of rows and columns."""

    def columns_first() -> V:
        wide = _level(graph, graph.op("MatMul", value, across))
        return _level(graph, graph.op("MatMul", down, wide))

    def rows_first() -> V:
        tall = _level(graph, graph.op("MatMul", down, value))
        return _level(graph, graph.op("MatMul", tall, across))

    fewer = graph.op("Sub", rows.length, rows.target)
    narrower = graph.op("Sub", columns.length, columns.target)
    twice = graph.op("Mul", graph.op("Max", narrower, graph.integer(0)), graph.integer(2))
    chosen = graph.choose(graph.op("Greater", fewer, twice), rows_first, columns_first)
    return graph.cast(chosen, "FLOAT")


def _level(graph: Pen[V], total: V) -> V:
    """Round a sum of 22 fractional bits to a grey level."""
    half = graph.op("Add", total, graph.double(float(1 << (_BITS - 1))))
    level = graph.op("Floor", graph.op("Div", half, graph.double(float(1 << _BITS))))
    return graph.op("Clip", level, graph.double(0.0), graph.double(255.0))


def _weights(graph: Pen[V], axis: Axis[V], resize: Resize, whole: bool) -> tuple[V, V]:
    """Return an axis's matrix (out, length) in float64, and (out,) whether the image reaches."""
    own = graph.constant(np.arange(axis.out, dtype=np.int64))
    place = graph.op("Add", own, axis.offset)
    covered = graph.op(
        "And",
        graph.op("GreaterOrEqual", place, graph.integer(0)),
        graph.op("Less", place, axis.target),
    )
    length, target = graph.cast(axis.length, "DOUBLE"), graph.cast(axis.target, "DOUBLE")
    scale = graph.op("Div", length, target)
    middle = graph.op("Add", graph.cast(place, "DOUBLE"), graph.double(0.5))
    centre = graph.op("Unsqueeze", graph.op("Mul", middle, scale), graph.integers(1))
    taps = graph.op("Unsqueeze", graph.cast(axis.taps, "DOUBLE"), graph.integers(0))
    stretch = graph.op("Max", scale, graph.double(1.0)) if resize.antialias else graph.double(1.0)
    if not resize.antialias:  # what lies outside repeats the edge
        most = graph.op("Sub", length, graph.double(0.5))
        centre = graph.op("Clip", centre, graph.double(0.5), most)
    made = _kernel(graph, taps, centre, stretch, resize.filter)
    if whole:
        made = _within(graph, made, taps, centre, stretch, length, resize.filter)
    total = graph.op("ReduceSum", made, graph.integers(1), keepdims=1)
    none = graph.op("Equal", total, graph.double(0.0))  # rows that the image does not reach
    made = graph.op("Div", made, graph.op("Where", none, graph.double(1.0), total))
    return (_fixed(graph, made) if whole else made), covered


def _kernel(graph: Pen[V], taps: V, centre: V, stretch: V, filter: str) -> V:
    """Return the filter at every tap: (out, length)."""
    shifted = graph.op("Add", graph.op("Sub", taps, centre), graph.double(0.5))
    x = graph.op("Mul", shifted, graph.op("Div", graph.double(1.0), stretch))
    return _filter(graph, x, filter)


def _within(graph: Pen[V], value: V, taps: V, centre: V, stretch: V, length: V, filter: str) -> V:
    """Return 0 for taps beyond the filter's support, whose ends Pillow rounds to whole pixels."""
    reach = graph.op("Mul", graph.double(_REACH[filter]), stretch)
    half = graph.double(0.5)
    low = graph.op("Floor", graph.op("Add", graph.op("Sub", centre, reach), half))
    high = graph.op("Floor", graph.op("Add", graph.op("Add", centre, reach), half))
    low = graph.op("Max", low, graph.double(0.0))
    high = graph.op("Min", high, length)
    inside = graph.op("And", graph.op("GreaterOrEqual", taps, low), graph.op("Less", taps, high))
    return graph.op("Where", inside, value, graph.double(0.0))


def _filter(graph: Pen[V], x: V, filter: str) -> V:
    """Return a filter's value at distances in (stretched) pixels; Pillow's, bicubic a = -0.5."""
    size = graph.op("Abs", x)
    one, zero = graph.double(1.0), graph.double(0.0)
    if filter == "box":
        inside = graph.op(
            "And",
            graph.op("Greater", x, graph.double(-0.5)),
            graph.op("LessOrEqual", x, graph.double(0.5)),
        )
        return graph.cast(inside, "DOUBLE")
    if filter == "bilinear":
        return graph.op("Max", graph.op("Sub", one, size), zero)
    if filter == "bicubic":
        near = _polynomial(graph, size, (1.5, -2.5, 0.0, 1.0))
        far = _polynomial(graph, size, (-0.5, 2.5, -4.0, 2.0))
        outer = graph.op("Where", graph.op("Less", size, graph.double(2.0)), far, zero)
        return graph.op("Where", graph.op("Less", size, one), near, outer)
    third = graph.op("Div", x, graph.double(3.0))
    value = graph.op("Mul", _sinc(graph, x), _sinc(graph, third))
    return graph.op("Where", graph.op("Less", size, graph.double(3.0)), value, zero)


def _polynomial(graph: Pen[V], x: V, coefficients: tuple[float, ...]) -> V:
    value = graph.double(coefficients[0])
    for each in coefficients[1:]:
        value = graph.op("Add", graph.op("Mul", value, x), graph.double(each))
    return value


def _sinc(graph: Pen[V], x: V) -> V:
    """Return sin(pi x) / (pi x), 1 at 0."""
    zero = graph.op("Equal", x, graph.double(0.0))
    safe = graph.op("Where", zero, graph.double(1.0), x)
    turned = graph.op("Mul", safe, graph.double(float(np.pi)))
    value = graph.op("Div", graph.op("Sin", turned), turned)
    return graph.op("Where", zero, graph.double(1.0), value)


def _fixed(graph: Pen[V], weights: V) -> V:
    """Round weights to 22 fractional bits, away from zero at a half, as integers in float64."""
    scaled = graph.op("Mul", weights, graph.double(float(1 << _BITS)))
    up = graph.op("Floor", graph.op("Add", scaled, graph.double(0.5)))
    down = graph.op("Ceil", graph.op("Sub", scaled, graph.double(0.5)))
    return graph.op("Where", graph.op("GreaterOrEqual", scaled, graph.double(0.0)), up, down)


def _background(graph: Pen[V], contract: Contract) -> V:
    red, green, blue = contract.background
    if contract.channels == "grey":
        luma = sum(weight * level for weight, level in zip(_LUMA, contract.background, strict=True))
        levels = [(luma + 32768) >> 16]
    else:
        levels = [red, green, blue] if contract.channels == "rgb" else [blue, green, red]
    return graph.constant(np.array(levels, np.float32)[None, :, None, None])

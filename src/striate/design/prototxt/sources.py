"""Where a prototxt's images come from: `input`, Input layers and data layers, and their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from striate.design.layer import Shape
from striate.design.prototxt.entries import Entry
from striate.design.prototxt.message import Message

SOURCES = (
    "Input", "Data", "ImageData", "MemoryData", "HDF5Data", "WindowData", "DummyData", "Python",
)  # fmt: skip


class Source(NamedTuple):
    """A blob that comes from outside.

    Args:
        blob: its name.
        shape: without batch; None where the file does not say it.
        position: where it is declared.
        label: whether it holds labels, which only losses read.
        note: what was taken for granted.
    """

    blob: str
    shape: Shape | None
    position: int
    label: bool = False
    note: str = ""


def declared(net: Message) -> Iterator[Source]:
    """Yield the blobs of `input:` with their `input_dim` or `input_shape`."""
    blobs = net.all("input")
    dims, shapes = net.integers("input_dim", 1), net.messages("input_shape")
    if dims and len(dims) != 4 * len(blobs) and len(blobs) > 0:
        raise net.error(
            net.place("input_dim"),
            f"expected four input_dim for each input (batch, channels, height, width), received "
            f"{len(dims)} for {len(blobs)}.",
        )
    for index, blob in enumerate(blobs):
        if dims:
            given: list[int] | None = dims[4 * index : 4 * index + 4]
        else:
            given = shapes[index].integers("dim", 1) if index < len(shapes) else None
        yield _source(net, blob.text, given, blob.position)


def provided(entry: Entry) -> Iterator[Source]:
    """Yield the blobs of a data layer; the second one holds labels."""
    shapes, note = _shapes(entry)
    for index, top in enumerate(entry.tops):
        if entry.type in ("Input", "DummyData"):
            given = shapes[min(index, len(shapes) - 1)] if shapes else None
            yield _source(entry.message, top.text, given, top.position)
        elif index:
            yield Source(top.text, None, top.position, label=True)
        else:
            given = shapes[0] if shapes else None
            yield _source(entry.message, top.text, given, top.position, note)


def _source(
    message: Message, blob: str, dims: list[int] | None, position: int, note: str = ""
) -> Source:
    """Return a source of (batch, ...); a blob of numbers alone holds labels."""
    if dims is None:
        return Source(blob, None, position, label=blob == "label")
    shape = tuple(dims[1:])
    plain = blob == "label" or not shape or (len(dims) == 4 and shape == (1, 1, 1))
    if len(shape) > 4:
        raise message.error(position, f"expected at most five dimensions, received {len(dims)}.")
    return Source(blob, None if plain else shape, position, label=plain, note=note)


def _shapes(entry: Entry) -> tuple[list[list[int]], str]:
    """Return the shapes, batch first, that a data layer says."""
    message, kind = entry.message, entry.type
    if kind in ("Input", "DummyData"):
        param = message.message("input_param" if kind == "Input" else "dummy_data_param")
        shapes = [each.integers("dim", 1) for each in param.messages("shape")]
        names = ("num", "channels", "height", "width")
        if not shapes and param.has("channels"):
            columns = [param.integers(name, 1) for name in names]
            shapes = [list(row) for row in zip(*columns, strict=False)]
        return shapes, ""
    if kind == "MemoryData":
        param = message.message("memory_data_param")
        sizes = [param.integer(name, 1, 1) for name in ("channels", "height", "width")]
        return [[1, *sizes]], ""
    return _cropped(message)


def _cropped(message: Message) -> tuple[list[list[int]], str]:
    """Return the crop as the shape, three channels taken for granted unless the file says grey."""
    transform = message.message("transform_param")
    older = message.message("data_param")
    image = message.message("image_data_param")
    crop = transform.integer("crop_size", older.integer("crop_size", 0))
    height, width = image.integer("new_height", 0), image.integer("new_width", 0)
    size = [crop, crop] if crop else [height, width]
    if not all(size):
        return [], ""
    grey = transform.flag("force_gray", False) or not image.flag("is_color", True)
    means = len(transform.numbers("mean_value"))
    channels = means if means > 1 else 1 if grey else 3
    return [[1, channels, *size]], "" if means > 1 or grey else "three channels taken for granted"

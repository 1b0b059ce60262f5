"""The wire form of protocol buffers, as far as Caffe's models need it; no schema, no dependency.

A message is a run of fields: a key (number and wire type), then a varint, 4 or 8 bytes, or a
length and so many bytes. Which number means what is said where a message is read.

Source: protobuf.dev, "Encoding"; field numbers: caffe.proto of BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from striate.errors import WeightsError

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class Field(NamedTuple):
    """A field: its number, and its value as an integer or as bytes."""

    number: int
    value: int | memoryview


def fields(data: memoryview) -> Iterator[Field]:
    """Yield the fields of a message.

    Raises:
        WeightsError: it ends early, or is no such message.

    Example:
        >>> message = memoryview(bytes([10, 2, 104, 105]))
        >>> [(number, bytes(value)) for number, value in fields(message)]
        [(1, b'hi')]
    """
    place, end = 0, len(data)
    while place < end:
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(data, place)
            yield Field(number, value)
            continue
        if wire == _BYTES:
            length, place = _varint(data, place)
        else:
            length = {_EIGHT: 8, _FOUR: 4}.get(wire, -1)
        if number == 0 or length < 0 or place + length > end:
            raise WeightsError(f"a field at byte {place} of {end} is cut short or of no known kind")
        yield Field(number, data[place : place + length])
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise WeightsError("a number at the end is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise WeightsError(f"a number before byte {place} is too long")


class Blob(NamedTuple):
    """A tensor of a layer: its shape as stored, and its numbers in order."""

    shape: tuple[int, ...]
    values: np.ndarray


class Stored(NamedTuple):
    """A layer of a model that has tensors."""

    name: str
    blobs: list[Blob]


# Where a net keeps its layers, and these their name and blobs: today's form; the older one; and
# the oldest, whose layers hold another message with both.
_LAYER, _LAYERS, _INNER = 100, 2, 1
_PLACES = {_LAYER: (1, 7), _LAYERS: (4, 6), _INNER: (1, 50)}


def stored_layers(data: memoryview) -> list[Stored]:
    """Return the layers of a NetParameter that have tensors, in order."""
    found = []
    for number, value in fields(data):
        if number in (_LAYER, _LAYERS) and isinstance(value, memoryview):
            layer = _layer(value, number)
            if layer.blobs:
                found.append(layer)
    return found


def _layer(data: memoryview, kind: int) -> Stored:
    at_name, at_blob = _PLACES[kind]
    name, blobs = "", []
    for number, value in fields(data):
        if not isinstance(value, memoryview):
            continue
        if number == at_name:
            name = bytes(value).decode("utf-8", "replace")
        elif number == at_blob:
            blobs.append(blob(value))
        elif kind == _LAYERS and number == _INNER:
            return _layer(value, _INNER)
    return Stored(name, blobs)


def blob(data: memoryview) -> Blob:
    """Return a BlobProto: shape (or num, channels, height and width), float or double data."""
    shape: tuple[int, ...] | None = None
    older = {1: 0, 2: 0, 3: 0, 4: 0}
    runs: list[np.ndarray] = []
    for number, value in fields(data):
        if number in older and isinstance(value, int):
            older[number] = value
        elif number in (5, 8) and isinstance(value, memoryview):
            runs.append(np.frombuffer(value, "<f4" if number == 5 else "<f8").astype(np.float32))
        elif number == 7 and isinstance(value, memoryview):
            shape = tuple(_shape(value))
    values = np.concatenate(runs) if runs else np.zeros(0, np.float32)
    return Blob(tuple(older.values()) if shape is None else shape, values)


def _shape(data: memoryview) -> Iterator[int]:
    for number, value in fields(data):
        if number != 1:
            continue
        if isinstance(value, int):
            yield value
            continue
        place = 0
        while place < len(value):
            size, place = _varint(value, place)
            yield size

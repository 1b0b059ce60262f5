"""Caffe's messages: layers with their blobs, in today's form and the two before it.

Source: field numbers of caffe.proto, BVLC Caffe 1.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from striate.weights.wire import fields, integers


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
        if number == 1:
            yield from integers(value)

"""ONNX's messages: a model's graph, its nodes, their attributes, and tensors as arrays.

Read by their field numbers, without onnx's package: a file is bytes here, nothing in it is called.
Tensors that lie in other files are read from the model's own folder, and from nowhere else.

Source: onnx.proto of ONNX 1.20 (IR version 13).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from striate.errors import WeightsError
from striate.weights.wire import Message

Array = npt.NDArray[Any]
Sizes = tuple[int | None, ...]

# TensorProto.DataType -> the type of its raw bytes.
TYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2",
    11: "<f8", 12: "<u4", 13: "<u8", 16: "<u2",
}  # fmt: skip
_BFLOAT16, _FLOAT16 = 16, 10
# Where else the numbers may be: fields of floats, of doubles, and of varints.
_FLOATS, _DOUBLES, _VARINTS = 4, 10, (5, 7, 11)
_OUTSIDE = 1


class Node(NamedTuple):
    """A call of an operator.

    Args:
        operator: its type.
        domain: of the operator; empty for ONNX's own.
        name: of the call, empty where it has none.
        inputs, outputs: names of values; empty where an optional one is left out.
        attributes: by name; None for a kind that no operator here has.
        scopes: the modules it was called in, where the exporter says them.
    """

    operator: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    scopes: str = ""


class Model(NamedTuple):
    """A model file.

    Args:
        opset: version of ONNX's own operators.
        producer: the program that wrote it.
        facts: texts that were kept with it.
        name: of the graph.
        nodes: in order.
        tensors: constants by name.
        inputs: sizes by name, without the constants; None is a free size.
        outputs: names.
    """

    opset: int
    producer: str
    facts: dict[str, str]
    name: str
    nodes: tuple[Node, ...]
    tensors: dict[str, Array]
    inputs: dict[str, Sizes]
    outputs: tuple[str, ...]


def read_model(path: Path) -> Model:
    """Read a model file.

    Raises:
        WeightsError: it is damaged, holds no graph, or a tensor outside of its folder.
    """
    try:
        message = Message(memoryview(path.read_bytes()))
        graphs = message.messages(7)
        if not graphs:
            raise WeightsError("it holds no graph")
        return _model(message, graphs[-1], path)
    except WeightsError as error:
        raise WeightsError(f"{path} is no whole ONNX model: {error}.") from error


def _model(message: Message, graph: Message, path: Path) -> Model:
    versions = [each.integer(2) for each in message.messages(8) if each.text(1) in ("", "ai.onnx")]
    tensors = dict(tensor(each, path) for each in graph.messages(5))
    inputs = dict(map(_declared, graph.messages(11)))
    return Model(
        opset=versions[0] or 1 if versions else 1,
        producer=message.text(2),
        facts=_pairs(message, 14),
        name=graph.text(2),
        nodes=tuple(_node(each, path) for each in graph.messages(1)),
        tensors=tensors,
        inputs={name: sizes for name, sizes in inputs.items() if name not in tensors},
        outputs=tuple(each.text(1) for each in graph.messages(12)),
    )


def _pairs(message: Message, number: int) -> dict[str, str]:
    return {each.text(1): each.text(2) for each in message.messages(number)}


def _node(message: Message, path: Path) -> Node:
    domain = message.text(7)
    return Node(
        operator=message.text(4),
        domain="" if domain == "ai.onnx" else domain,
        name=message.text(3),
        inputs=message.texts(1),
        outputs=message.texts(2),
        attributes={each.text(1): _attribute(each, path) for each in message.messages(5)},
        scopes=_pairs(message, 9).get("pkg.torch.onnx.name_scopes", ""),
    )


def _attribute(message: Message, path: Path) -> Any:
    """Return an attribute's value; None for a kind that no operator here has."""
    name = message.text(1)
    if (whole := message.integer(3)) is not None:
        return whole
    if tensors := message.messages(5):
        return tensor(tensors[-1], path)[1]
    if texts := message.bytes(4):
        return str(texts[-1], "utf-8", "replace")
    for number in (2, 7):
        if found := message.bytes(number):
            floats = np.concatenate([_numbers(each, "<f4", name) for each in found])
            return float(floats[-1]) if number == 2 else tuple(floats.tolist())
    return tuple(message.integers(8)) or message.texts(9) or None


def _declared(message: Message) -> tuple[str, Sizes]:
    """Return the name and sizes of a graph's input or output."""
    shapes = [
        shape
        for kind in message.messages(2)
        for tensor_type in kind.messages(1)
        for shape in tensor_type.messages(2)
    ]
    sizes = [dim.integer(1) for dim in shapes[-1].messages(1)] if shapes else []
    return message.text(1), tuple(size if size and size > 0 else None for size in sizes)


def _numbers(data: memoryview, kind: str, name: str) -> Array:
    if len(data) % np.dtype(kind).itemsize:
        raise WeightsError(f"the numbers of {name!r} are cut short")
    return np.frombuffer(data, kind)


def tensor(message: Message, path: Path) -> tuple[str, Array]:
    """Return a tensor's name and numbers; half precision becomes single.

    Raises:
        WeightsError: a type without numbers, fewer or more of them than its shape says, or a file
            outside of the model's folder.
    """
    name, sizes, kind = message.text(8), message.integers(1), message.integer(2) or 0
    if kind not in TYPES:
        raise WeightsError(f"the tensor {name!r} is of type {kind}, which holds no plain numbers")
    if min(sizes, default=1) < 0:
        raise WeightsError(f"the tensor {name!r} has a size below zero: {sizes}")
    if message.integer(14) == _OUTSIDE:
        length = math.prod(sizes) * np.dtype(TYPES[kind]).itemsize
        flat = _numbers(_outside(_pairs(message, 13), name, path, length), TYPES[kind], name)
    elif raw := message.bytes(9):
        flat = _numbers(raw[-1], TYPES[kind], name)
    else:
        flat = _listed(message, kind, name)
    if flat.size != math.prod(sizes):
        raise WeightsError(f"the tensor {name!r} says {sizes} and holds {flat.size} numbers")
    if kind == _BFLOAT16:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    elif kind == _FLOAT16:
        flat = flat.astype(np.float32)
    return name, flat.reshape(sizes)


def _listed(message: Message, kind: int, name: str) -> Array:
    """Return numbers that are fields of their own; half precision is kept there by its bits."""
    runs = [_numbers(each, "<f4", name) for each in message.bytes(_FLOATS)]
    runs += [_numbers(each, "<f8", name) for each in message.bytes(_DOUBLES)]
    whole = [each for number in _VARINTS for each in message.integers(number)]
    if whole:
        flat = np.array(whole, np.int64)
        return (
            flat.astype(np.uint16).view(np.float16)
            if kind == _FLOAT16
            else flat.astype(TYPES[kind])
        )
    return np.concatenate(runs).astype(TYPES[kind]) if runs else np.zeros(0, TYPES[kind])


def _outside(facts: dict[str, str], name: str, path: Path, length: int) -> memoryview:
    """Return a tensor's bytes out of a file beside the model."""
    location = facts.get("location", "")
    folder = path.parent.resolve()
    place = (folder / location).resolve()
    if not location or not place.is_relative_to(folder):
        raise WeightsError(
            f"the tensor {name!r} is said to lie in {location!r}, outside of the model's folder"
        )
    if not place.is_file():
        raise WeightsError(f"the tensor {name!r} lies in {location}, which is not beside it")
    try:
        start = int(facts.get("offset") or 0)
        length = int(facts.get("length") or length)
    except ValueError as error:
        raise WeightsError(f"where the tensor {name!r} lies is no number") from error
    if start < 0 or length < 0 or start + length > place.stat().st_size:
        raise WeightsError(f"the tensor {name!r} ends beyond {location}")
    with place.open("rb") as file:
        file.seek(start)
        return memoryview(file.read(length))

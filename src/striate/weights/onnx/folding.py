"""What a graph computes from constants alone: the sizes that exporters write around a Reshape.

Only what such chains are made of; a result is refused where it would be large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from striate.errors import WeightsError
from striate.weights.onnx.messages import TYPES, Array, Node

_MOST = 1 << 27  # elements of a result

Given = Sequence[Any]


def fold(node: Node, given: Given) -> Array:
    """Return what a node computes of constants.

    Args:
        node: the call.
        given: its inputs; None for an optional one that is left out.

    Raises:
        WeightsError: they do not fit, or the result would be large.
    """
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(FOLDS[node.operator](node, given))
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, MemoryError) as error:
        raise WeightsError(f"its constants do not fit ({error})") from error
    if found.size > _MOST:
        raise WeightsError(f"it makes a constant of {found.size:,} numbers")
    return found


def whole(value: Any) -> tuple[int, ...]:
    """Return an array or attribute of integers as a tuple."""
    return tuple(int(each) for each in np.asarray(value).ravel())


def _constant(node: Node, given: Given) -> Any:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if (found := node.attributes.get(name)) is not None:
            kind = {"value": None, "value_float": np.float32, "value_floats": np.float32}
            return np.asarray(found, kind.get(name, np.int64))
    raise ValueError("a constant without a value")


def _axes(node: Node, given: Given) -> tuple[int, ...] | None:
    """Return axes, which became an input."""
    own = node.attributes.get("axes")
    if own is None and len(given) > 1 and given[1] is not None:
        own = given[1]
    return None if own is None else whole(own)


def _unsqueeze(node: Node, given: Given) -> Any:
    axes = _axes(node, given)
    return np.expand_dims(given[0], axes or ())


def _squeeze(node: Node, given: Given) -> Any:
    return np.squeeze(given[0], _axes(node, given))


def _cast(node: Node, given: Given) -> Any:
    kind = TYPES[int(node.attributes["to"])]
    return np.asarray(given[0]).astype(np.float32 if kind == "<f2" else kind)


def _slice(node: Node, given: Given) -> Any:
    ranges = slices(node, given, np.ndim(given[0]))
    return np.asarray(given[0])[tuple(slice(*each) for each in ranges)]


def slices(node: Node, given: Given, rank: int) -> list[tuple[int | None, int | None, int]]:
    """Return (start, stop, step) of each axis of a Slice, whose numbers became inputs."""
    old = [node.attributes.get(name) for name in ("starts", "ends", "axes", "steps")]
    now = [given[at] if at < len(given) else None for at in range(1, 5)]
    starts, ends, axes, steps = (b if a is None else a for a, b in zip(old, now, strict=True))
    chosen = whole(axes) if axes is not None else tuple(range(len(whole(starts))))
    found: list[tuple[int | None, int | None, int]] = [(None, None, 1)] * rank
    strides = whole(steps) if steps is not None else (1,) * len(chosen)
    for start, end, axis, step in zip(whole(starts), whole(ends), chosen, strides, strict=True):
        found[axis] = (start, None if end >= 1 << 30 else end, step)
    return found


def _reshape(node: Node, given: Given) -> Any:
    wanted = node.attributes.get("shape") if len(given) < 2 else given[1]
    source = np.asarray(given[0])
    return source.reshape(resolved(whole(wanted), source.shape))


def resolved(wanted: Sequence[int], have: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes that a Reshape means: 0 is the input's, -1 is what is left."""
    sizes = [have[at] if size == 0 else size for at, size in enumerate(wanted)]
    total = int(np.prod(have, dtype=np.int64))
    if sizes.count(-1) == 1:
        rest = int(np.prod([size for size in sizes if size != -1], dtype=np.int64))
        if rest <= 0 or total % rest:
            raise ValueError(f"{tuple(have)} cannot be {tuple(wanted)}")
        sizes[sizes.index(-1)] = total // rest
    if min(sizes, default=1) < 0 or int(np.prod(sizes, dtype=np.int64)) != total:
        raise ValueError(f"{tuple(have)} cannot be {tuple(wanted)}")
    return tuple(sizes)


def _filled(node: Node, given: Given) -> Any:
    shape = whole(given[0])
    if np.prod(shape, dtype=np.float64) > _MOST:
        raise ValueError(f"a constant of {shape}")
    value = node.attributes.get("value")
    return np.full(shape, np.float32(0) if value is None else np.asarray(value).ravel()[0])


def _expand(node: Node, given: Given) -> Any:
    shape = np.broadcast_shapes(np.shape(given[0]), whole(given[1]))
    if np.prod(shape, dtype=np.float64) > _MOST:
        raise ValueError(f"a constant of {shape}")
    return np.broadcast_to(np.asarray(given[0]), shape)


def _range(node: Node, given: Given) -> Any:
    start, stop, step = (float(np.asarray(each).ravel()[0]) for each in given)
    if not step or (stop - start) / step > _MOST:
        raise ValueError("a range without an end")
    return np.arange(start, stop, step).astype(np.asarray(given[0]).dtype)


def _divide(node: Node, given: Given) -> Any:
    top, under = np.asarray(given[0]), np.asarray(given[1])
    if top.dtype.kind in "iu":
        return np.trunc(top / under).astype(top.dtype)
    return top / under


def _gather(node: Node, given: Given) -> Any:
    axis = int(node.attributes.get("axis", 0))
    return np.take(given[0], np.asarray(given[1], np.int64), axis)


def _plain(function: Callable[..., Any]) -> Callable[[Node, Given], Any]:
    return lambda node, given: function(*given)


FOLDS: dict[str, Callable[[Node, Given], Any]] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Identity": lambda node, given: given[0],
    "Gather": _gather,
    "Concat": lambda node, given: np.concatenate(given, int(node.attributes["axis"])),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Cast": _cast,
    "Slice": _slice,
    "Reshape": _reshape,
    "Transpose": lambda node, given: np.transpose(given[0], node.attributes.get("perm")),
    "Expand": _expand,
    "Range": _range,
    "Add": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Div": _divide,
    "Neg": _plain(np.negative),
    "Sqrt": _plain(np.sqrt),
    "Floor": _plain(np.floor),
    "Ceil": _plain(np.ceil),
    "Equal": _plain(np.equal),
    "Where": _plain(np.where),
    "Max": _plain(np.maximum),
    "Min": _plain(np.minimum),
    "Pow": _plain(np.power),
    "Shape": lambda node, given: np.array(np.shape(given[0]), np.int64),
}

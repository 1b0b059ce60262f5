"""What to say where a network does not work: the table up to there, and an input that would fit.

A layer knows its own arithmetic and refuses with its own fixes; only the network knows which input
led to it. This adds the shapes so far, where a vector came from (256 = 16x4x4), and image sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from striate.design.layer import Layer, Shape
from striate.design.shapes import infer
from striate.design.wiring import Flatten
from striate.errors import DesignError

_PROBES = (1024, 512, 299, 256, 227, 224, 128, 64, 32)  # sizes that some network was made for
_LARGEST = 1024
_SHOWN = 40  # rows of a table: what matters is near its end


def explain(
    name: str,
    layers: Sequence[Layer],
    inputs: dict[str, Shape],
    error: DesignError,
    whole: Callable[[Shape], bool] | None = None,
) -> DesignError:
    """Return the error with what the network knows.

    Args:
        name: of the network.
        layers: all of it, or those up to the one at fault.
        inputs: shapes of its inputs; the first is the image that may be of another size.
        error: as the layer raised it, or somebody else about a layer whose sizes fit.
        whole: whether all of it takes an image of that shape, where `layers` are not all.
    """
    shapes = dict(inputs)
    failing = _until_failure(layers, shapes) or _named(error.layer, layers, shapes)
    if failing is None:
        return error
    problem, fixes = error.problem, error.fixes
    if error.expects is not None:
        problem += _origin(failing, layers, shapes)
        side = _size_that_gives(failing, layers, inputs, error.expects)
        fixes += (f"feed {side}x{side}",) if side else ()
    table = _table(layers, shapes, failing)
    first = next(iter(inputs))
    smallest = None if error.expects is not None else smallest_image(layers, inputs, whole)
    least = None
    if smallest is not None and any(
        have < need for have, need in zip(inputs[first][1:], smallest[1:], strict=True)
    ):
        size, least = _by(inputs[first][1:]), smallest[1:]
        problem = f"{name} takes images of {_by(least)} and larger, received {size}: {problem}"
    return DesignError(problem, error.layer, fixes=fixes, table=table, least=least)


def smallest_image(
    layers: Sequence[Layer],
    inputs: dict[str, Shape],
    whole: Callable[[Shape], bool] | None = None,
) -> Shape | None:
    """Return the smallest square image that every layer fits, None where none of 1024 does.

    Where the layers are not all, `whole` has to take it, too.
    """

    def fits(size: int) -> bool:
        shapes = _resized(inputs, size)
        image = next(iter(shapes.values()))
        return _until_failure(layers, shapes) is None and (whole is None or whole(image))

    largest = next(filter(fits, _PROBES), None)
    if largest is None:
        return None
    return next(iter(_resized(inputs, next(filter(fits, range(1, largest + 1)))).values()))


def _until_failure(layers: Sequence[Layer], shapes: dict[str, Shape]) -> Layer | None:
    """Add shapes up to the first layer that does not fit, and return it."""
    try:
        infer(layers, shapes)
    except DesignError:
        return next(layer for layer in layers if layer.name not in shapes)
    return None


def _named(name: str | None, layers: Sequence[Layer], shapes: dict[str, Shape]) -> Layer | None:
    """Return the layer of that name, and drop the shapes from there on."""
    failing = next((layer for layer in layers if layer.name == name), None)
    if failing is not None:
        for layer in layers[layers.index(failing) :]:
            shapes.pop(layer.name, None)
    return failing


def _resized(inputs: dict[str, Shape], size: int) -> dict[str, Shape]:
    """Return the inputs with the first one square and of another size."""
    first, shape = next(iter(inputs.items()))
    return inputs | {first: (shape[0], *(size,) * (len(shape) - 1))}


def _origin(failing: Layer, layers: Sequence[Layer], shapes: dict[str, Shape]) -> str:
    """Spell what a vector was flattened from: " = 16x4x4"."""
    by_name = {layer.name: layer for layer in layers}
    layer = by_name.get(failing.inputs[0])
    while layer is not None and len(layer.inputs) == 1:
        if isinstance(layer, Flatten):
            return " = " + "x".join(map(str, shapes[layer.inputs[0]]))
        if shapes[layer.name] != shapes[layer.inputs[0]]:
            break
        layer = by_name.get(layer.inputs[0])
    return ""


def _size_that_gives(
    failing: Layer, layers: Sequence[Layer], inputs: dict[str, Shape], expected: int
) -> int | None:
    """Return the square image with which a layer receives as many features as it expects.

    The number grows with the image, so that halving finds it.
    """
    before = layers[: layers.index(failing)]

    def received(size: int) -> int:
        shapes = _resized(inputs, size)
        return 0 if _until_failure(before, shapes) else prod(shapes[failing.inputs[0]])

    size = _first(lambda size: received(size) >= expected, _LARGEST)
    return size if size is not None and received(size) == expected else None


def _first(holds: Callable[[int], bool], most: int) -> int | None:
    """Return the least number up to `most` that holds, for what holds from some number on."""
    low, high = 1, most
    if not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _table(layers: Sequence[Layer], shapes: dict[str, Shape], failing: Layer) -> str:
    """Set the layers so far with their outputs, and the one at fault with what it got."""
    before = layers[: layers.index(failing)]
    names = [name for name in shapes if name not in {layer.name for layer in before}]
    rows = [(name, "input", _by(shapes[name])) for name in names]
    rows += [(layer.name, _kind(layer), _by(shapes[layer.name])) for layer in before]
    got = " and ".join(_by(shapes[name]) for name in failing.inputs)
    rows.append((failing.name, _kind(failing), f"<- received {got}"))
    left_out = len(rows) - _SHOWN
    if left_out > 0:
        rows = [("...", f"{left_out} rows", ""), *rows[left_out:]]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows)


def _kind(layer: Layer) -> str:
    return str(type(layer).__struct_config__.tag)


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))

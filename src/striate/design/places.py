"""Where the image's rows and columns are in each value: which of its axes they lie along.

They start behind the channels. A channel shuffle takes the channels apart and leaves the rows and
columns alone, behind two axes then; a network that keeps its channels last moves them to the front.
Receptive fields and crops are about these axes, wherever they are.
"""

from __future__ import annotations

from striate.design.layer import Layer, Shape
from striate.design.network import Network

Axes = tuple[int, ...]


def places(network: Network) -> dict[str, Axes]:
    """Return, for every value by name, the axis that each axis of the first image lies along.

    Axes are counted without batch; empty where a value has no places: vectors, and what was
    reshaped across rows and columns.

    Example:
        >>> from striate.design import Permute, Sketch
        >>> net = Sketch("t", (8, 9, 7))
        >>> _ = net.put(Permute(name="last", inputs=("x",), order=(1, 2, 0)))
        >>> places(net.finish())
        {'x': (1, 2), 'last': (0, 1)}
    """
    shapes = network.shapes()
    first = network.inputs[0].shape
    found: dict[str, Axes] = {
        each.name: tuple(range(1, len(first))) if len(each.shape) == len(first) else ()
        for each in network.inputs
    }
    for layer in network.layers:
        read = network.input_shapes(layer)
        before = {found[name] for name in layer.inputs} - {()}
        axes = before.pop() if len(before) == 1 else ()
        if 0 in axes and layer.window(*read) is not None:
            axes = ()  # a window looks at all of the first axis
        found[layer.name] = _carried(layer, axes, read, len(shapes[layer.name]))
    return found


def _carried(layer: Layer, axes: Axes, shapes: tuple[Shape, ...], count: int) -> Axes:
    carried = [layer.carried(axis, *shapes) for axis in axes]
    kept = tuple(axis for axis in carried if axis is not None and axis < count)
    return kept if len(kept) == len(axes) and count > 1 else ()


def repeated(before: Shape, of: Axes, after: Shape, to: Axes) -> bool:
    """Return whether one row or column of a value becomes several of the next."""
    return any(before[a] == 1 < after[b] for a, b in zip(of, to, strict=False))

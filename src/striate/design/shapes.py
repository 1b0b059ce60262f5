"""Shapes of values, layer after layer: the one loop over a network's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from striate.design.layer import Layer, Shape


def infer(layers: Sequence[Layer], shapes: dict[str, Shape]) -> None:
    """Add each layer's output to `shapes`, which holds the inputs' already.

    Raises:
        DesignError: a layer that does not fit what it reads; the shapes before it are there.
    """
    for layer in layers:
        shapes[layer.name] = layer.output(*(shapes[name] for name in layer.inputs))

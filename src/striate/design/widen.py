"""A network made wider or thinner on paper: every layer but the classifiers, by one factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.design.edits import classifiers
from striate.design.layer import Layer, Shape
from striate.design.linear import Conv, Linear
from striate.design.transposed import ConvTranspose
from striate.design.wiring import Shortcut
from striate.errors import DesignError

if TYPE_CHECKING:
    from striate.design.network import Network


def widened(network: Network, factor: float) -> Network:
    """Return the network with `factor` times as many features in every hidden layer.

    Counts are rounded, to a multiple of the groups; a convolution of a group a channel stays one.

    Args:
        network: any.
        factor: above 0.

    Raises:
        DesignError: no factor above 0, a table of connections, or layers that no longer fit.
    """
    if not factor > 0:
        raise DesignError(f"Expected a width factor above 0, received {factor:g}.")
    kept, before = classifiers(network), network.shapes()
    shapes: dict[str, Shape] = {each.name: each.shape for each in network.inputs}
    layers: list[Layer] = []
    for layer in network.layers:
        got = tuple(shapes[name] for name in layer.inputs)
        if layer.name not in kept:
            layer = _scaled(layer, factor, before[layer.inputs[0]], got[0])
        else:
            layer = _undeclared(layer)
        shapes[layer.name] = layer.output(*got)
        layers.append(layer)
    return network.replace(layers=tuple(layers))


def _scaled(layer: Layer, factor: float, before: Shape, now: Shape) -> Layer:
    if isinstance(layer, Shortcut):
        return layer.replace(features=_round(layer.features, factor))
    if not isinstance(layer, Conv | Linear | ConvTranspose):
        return layer
    if isinstance(layer, Conv) and layer.connections is not None:
        raise layer.refuse("a table of connections has no width; leave width out")
    features = _round(layer.features, factor)
    if not isinstance(layer, Linear) and layer.groups > 1:
        depthwise = layer.groups == before[0]
        groups = now[0] if depthwise else layer.groups
        each = max(round(layer.features * factor / groups), 1)
        if depthwise:
            each = layer.features // layer.groups
        features, layer = each * groups, layer.replace(groups=groups)
    return _undeclared(layer).replace(features=features)


def _undeclared(layer: Layer) -> Layer:
    """Return a layer that reads its input's size off the input."""
    if isinstance(layer, Linear):
        return layer.replace(in_features=None)
    return layer.replace(in_channels=None) if isinstance(layer, Conv | ConvTranspose) else layer


def _round(count: int, factor: float) -> int:
    return max(round(count * factor), 1)

"""Which layers are looked at where none is named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from striate.design import Activation, Conv, Linear, Network
from striate.design.receptive import last_with_places
from striate.layers import Net


def has_places(network: Network, layer: str) -> bool:
    """Tell whether a layer's units stand somewhere in an image."""
    return len(network.shapes()[layer]) == 3


def last_features(net: Net) -> str:
    """Return what the last layer with weights reads: the features that classes are told by."""
    network = net.network
    owners = [layer for layer in network.layers if layer.parameters(*network.input_shapes(layer))]
    needed = network.needed(train=False)
    return [layer for layer in owners if layer.name in needed][-1].inputs[0]


def spread_layers(net: Net, count: int) -> tuple[str, ...]:
    """Return so many layers, evenly from the first to the last: activations first.

    They have places, unless no layer of the network has.
    """
    needed, end = net.network.needed(train=False), last_with_places(net.network)
    own = [layer for layer in net.network.layers if layer.name in needed]
    names = [
        layer.name
        for layer in own
        if has_places(net.network, layer.name)
        and (isinstance(layer, Activation | Conv) or layer.name == end)
    ] or [layer.name for layer in own if isinstance(layer, Activation | Linear)]
    kinds = {layer.name: layer for layer in net.network.layers}
    chosen = [each for each in names if isinstance(kinds[each], Activation)] or names
    places = np.linspace(0, len(chosen) - 1, min(count, len(chosen))).round().astype(int)
    return tuple(dict.fromkeys(chosen[place] for place in places))


def placed(net: Net, layers: Sequence[str]) -> str | None:
    """Return the last of some layers that has places, for Grad-CAM; None where none has."""
    return next((each for each in reversed(layers) if has_places(net.network, each)), None)

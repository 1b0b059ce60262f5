"""Caffe's prototxt, a layer at a time, with what Caffe lacks said."""

from __future__ import annotations

from striate.design.layer import Layer
from striate.design.network import Network
from striate.design.pooling import AvgPool, MaxPool
from striate.design.prototxt.write import layer_lines, to_prototxt
from striate.design.spelling.said import Said
from striate.errors import DesignError


def write(network: Network, layers: tuple[Layer, ...]) -> Said:
    """Write the layers; the whole network has its inputs, too."""
    notes: list[str] = []
    lines: list[str] = []
    for layer in layers:
        shapes = network.input_shapes(layer)
        if isinstance(layer, AvgPool | MaxPool) and layer.output(*shapes) != layer.replace(
            ceil=True
        ).output(*shapes):
            notes.append(f"{layer.name}: Caffe rounds the size of pooling up, this rounds down.")
        try:
            lines += layer_lines(layer, shapes, network)
        except DesignError as error:
            notes.append(str(error).rstrip(".") + ".")
            lines.append(f"# {layer.name}: cannot be said")
    if len(layers) == len(network.layers) and not any(line[:1] == "#" for line in lines):
        return Said(to_prototxt(network).rstrip("\n"), tuple(notes))
    return Said("\n".join(lines), tuple(notes))

"""Edits of a network on paper; each gives a new network and says which parameters carry over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.design.classical import Rbf
from striate.design.layer import Layer, Shape
from striate.design.linear import Conv, Linear
from striate.design.names import no_such_part
from striate.design.pooling import AdaptiveAvgPool, AdaptivePool, AvgPool, MaxPool
from striate.design.wiring import Flatten
from striate.errors import DesignError

if TYPE_CHECKING:
    from striate.design.network import Network


def with_classes(network: Network, classes: int) -> tuple[Network, dict[str, str]]:
    """See `Network.with_classes`."""
    last = classifiers(network)
    layers = tuple(
        each.replace(features=classes) if each.name in last else each for each in network.layers
    )
    return network.replace(layers=layers), _kept(network, network.layers, last)


def classifiers(network: Network) -> list[str]:
    """Return the layers whose features are the classes, of the main output and those like it."""
    shapes = network.shapes()
    like = shapes[network.outputs[0].source]
    return [
        _classifier(network, output.source)
        for output in network.outputs
        if shapes[output.source] == like
    ]


def without(network: Network, names: Sequence[str]) -> tuple[Network, dict[str, str]]:
    """See `Network.without`."""
    gone = {layer.name: layer for layer in network.layers if _within(layer.name, names)}
    for name in names:
        if not any(_within(each, [name]) for each in gone):
            raise no_such_part(network.name, name, (each.name for each in network.layers))

    def now(value: str) -> str:
        while value in gone:
            if len(gone[value].inputs) != 1:
                raise DesignError(
                    f"{network.name}: {value} joins {', '.join(gone[value].inputs)} and cannot be "
                    "left out while something reads it.",
                    value,
                )
            value = gone[value].inputs[0]
        return value

    outputs = tuple(
        output.replace(source=now(output.source))
        for output in network.outputs
        if not (output.train_only and output.source in gone)
    )
    layers: list[Layer] = []
    wanted = {output.source for output in outputs}
    for layer in reversed(network.layers):
        if layer.name in wanted and layer.name not in gone:
            layers.insert(0, layer.replace(inputs=tuple(map(now, layer.inputs))))
            wanted.update(layers[0].inputs)
    return network.replace(layers=tuple(layers), outputs=outputs), _kept(network, layers)


def convolutional(network: Network) -> tuple[Network, dict[str, str]]:
    """See `Network.convolutional`."""
    shapes = network.shapes()
    same: dict[str, str] = {}  # a value that was left out, and the one in its place
    space: dict[str, Shape] = {}  # height and width that a vector was flattened from
    layers: list[Layer] = []
    for layer in network.layers:
        source = layer.inputs[0]
        flat = space.get(source, ())
        if isinstance(layer, Flatten) and len(shapes[source]) > 1:
            same[layer.name], space[layer.name] = same.get(source, source), shapes[source][1:]
            continue
        if len(shapes[layer.name]) == 1 and source in space:
            space[layer.name] = (1,) * len(flat) if isinstance(layer, Linear) else flat
        inputs = tuple(same.get(name, name) for name in layer.inputs)
        layers.append(_slid(layer.replace(inputs=inputs), shapes[source], flat))
    outputs = tuple(
        output.replace(source=same.get(output.source, output.source)) for output in network.outputs
    )
    return network.replace(layers=tuple(layers), outputs=outputs), _kept(network, network.layers)


def _slid(layer: Layer, shape: Shape, space: Shape) -> Layer:
    """Return the layer that does the same at one place of a larger image."""
    if isinstance(layer, Linear) and space:
        return Conv(
            name=layer.name,
            inputs=layer.inputs,
            features=layer.features,
            kernel=space,
            stride=(1,) * len(space),
            padding=((0, 0),) * len(space),
            dilation=(1,) * len(space),
            bias="channel" if layer.bias else "none",
            weight_init=layer.weight_init,
            bias_init=layer.bias_init,
            trainable=layer.trainable,
            rates=layer.rates,
            decays=layer.decays,
            shares=layer.shares,
            note=layer.note,
        )
    if isinstance(layer, AdaptivePool):
        return _fixed(layer, shape[1:])
    return layer


def _fixed(layer: AdaptivePool, space: Shape) -> Layer:
    """Return the pooling by a window that an adaptive one is on this input."""
    if any(have % want for have, want in zip(space, layer.size, strict=True)):
        raise layer.refuse(
            f"its windows from {space} to {layer.size} differ in size, so no window slides"
        )
    kernel = tuple(have // want for have, want in zip(space, layer.size, strict=True))
    kind = AvgPool if isinstance(layer, AdaptiveAvgPool) else MaxPool
    return kind(
        name=layer.name,
        inputs=layer.inputs,
        kernel=kernel,
        stride=tuple(1 if want == 1 else k for k, want in zip(kernel, layer.size, strict=True)),
        padding=((0, 0),) * len(kernel),
        note=layer.note,
    )


def _classifier(network: Network, name: str) -> str:
    """Return the last layer with features at or before a value, through one-input layers."""
    layers = {layer.name: layer for layer in network.layers}
    while name in layers:
        layer = layers[name]
        if isinstance(layer, Conv | Linear | Rbf):
            return name
        if len(layer.inputs) != 1:
            break
        name = layer.inputs[0]
    raise DesignError(
        f"{network.name}: expected its output to come from a fully connected layer or convolution, "
        f"whose features are the classes, received {network.outputs[0].source!r}, which has none "
        "of its own. Add one (notation: FC-10), or leave the number of classes out."
    )


def _kept(network: Network, layers: Sequence[Layer], anew: Sequence[str] = ()) -> dict[str, str]:
    """Map the parameters of layers that remain to themselves."""
    remain = {layer.name for layer in layers} - set(anew)
    names = (parameter.name for parameter in network.parameters())
    return {name: name for name in names if name.rpartition(".")[0] in remain}


def _within(name: str, scopes: Sequence[str]) -> bool:
    return any(name == scope or name.startswith(f"{scope}.") for scope in scopes)

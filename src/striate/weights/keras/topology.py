"""A Keras model's topology as a network on paper: Sequential, and Functional with one call a layer.

Channels mostly come last in these files; the network has them first. A final soft-max is left to
the loss and to `predict`, as everywhere in the house.
"""

from __future__ import annotations

import re
from typing import Any

from striate.design import Input, Layer, Network, Output, Pad, Softmax
from striate.design.layer import Shape as _Shape
from striate.errors import DesignError, WeightsError
from striate.weights.keras.layers import ACTIVATIONS, READERS, Said

_PASSED = ("InputLayer",)


def identifier(name: str) -> str:
    """Return a layer's name as a module path.

    Example:
        >>> identifier("block1/conv-2"), identifier("1x1")
        ('block1_conv_2', 'layer_1x1')
    """
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_")
    return f"layer_{plain}" if not plain or plain[0].isdigit() else plain


def read_topology(topology: dict[str, Any], path: str) -> tuple[Network, tuple[str, ...]]:
    """Return the network of a topology, and notes.

    Raises:
        WeightsError: a layer, or a way of joining layers, that cannot be read; names it.
    """
    reading = _Reading(path, _channels_first(topology))
    config, layers = topology["config"], layers_of(topology)
    sequential = topology.get("class_name") == "Sequential"
    for each in layers:
        reading.layer(each, sequential)
    name = identifier(config.get("name", "keras") if isinstance(config, dict) else "keras")
    ends = [] if sequential else [_called(each) for each in _pairs(config["output_layers"])]
    return reading.network(name, ends)


def _channels_first(topology: dict[str, Any]) -> bool:
    """Tell whether a model was made with its channels before the image's axes."""
    said = (each["config"].get("data_format") for each in layers_of(topology))
    return "channels_first" in said


def layers_of(topology: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the entries of a topology's layers; none without a topology."""
    if topology is None:
        return []
    config = topology["config"]
    found: list[dict[str, Any]] = config if isinstance(config, list) else config["layers"]
    return found


def _pairs(found: Any) -> list[Any]:
    """Return a list of (layer, call, tensor), which Keras 3 writes flat where there is one."""
    return [found] if found and isinstance(found[0], str) else list(found)


def _called(reference: Any) -> str:
    return str(reference[0])


class _Reading:
    def __init__(self, path: str, first: bool) -> None:
        self.path, self.first = path, first
        self.inputs: list[Input] = []
        self.layers: list[Layer] = []
        self.values: dict[str, str] = {}  # a Keras layer -> the value it gives here
        self.shapes: dict[str, _Shape] = {}
        self.last = ""
        self.notes: list[str] = []

    def layer(self, entry: dict[str, Any], sequential: bool) -> None:
        kind, config = entry["class_name"], entry["config"]
        name = config.get("name") or entry.get("name") or f"{kind.lower()}_{len(self.layers)}"
        shape = config.get("batch_input_shape") or config.get("batch_shape")
        if shape is not None and not self.inputs:
            self._input(name if kind in _PASSED else "x", shape)
        if kind in _PASSED:
            return
        sources = [self.last] if sequential else self._sources(entry, name)
        if kind not in READERS:
            raise WeightsError(
                f"{self.path}: the layer {name!r} is of type {kind}, which cannot be read. "
                f"What can: {', '.join(READERS)}."
            )
        if self.first and config.get("data_format") == "channels_last":
            raise WeightsError(f"{self.path}: {name!r} has its channels last, others first.")
        said = Said(identifier(name), config, tuple(sources), self.shapes, self.path, self.first)
        value = sources[0]
        try:
            for made in READERS[kind](said):
                value = self._append(made)
            word = config.get("activation") if kind != "Activation" else None
            if isinstance(word, dict):
                word = word.get("config", {}).get("name", word.get("class_name"))
            if word not in (None, "linear"):
                made_by = ACTIVATIONS.get(str(word))
                if made_by is None:
                    raise said.refuse(f"the activation {word!r} cannot be read")
                value = self._append(made_by(f"{said.name}_{word}", (value,)))
        except DesignError as error:
            raise WeightsError(f"{self.path}: {error}") from error
        self.values[name] = self.last = value

    def _input(self, name: str, shape: list[int | None]) -> None:
        *space, channels = (*shape[2:], shape[1]) if self.first else shape[1:]
        if channels is None or None in space:
            raise WeightsError(
                f"{self.path} says no size for its input: expected its height, width and channels, "
                f"received {shape[1:]}."
            )
        mine = identifier(name)
        self.inputs.append(Input(name=mine, shape=(int(channels), *(int(s or 0) for s in space))))
        self.shapes[mine] = self.inputs[0].shape
        self.values[name] = self.last = mine

    def _sources(self, entry: dict[str, Any], name: str) -> list[str]:
        """Return the values that a layer is called on."""
        nodes = entry.get("inbound_nodes", [])
        if len(nodes) != 1:
            raise WeightsError(f"{self.path}: {name!r} is called {len(nodes)} times, not once.")
        node = nodes[0]
        if isinstance(node, dict):  # Keras 3
            found = [each["config"]["keras_history"][0] for each in _tensors(node["args"])]
        else:
            found = [_called(each) for each in node]
        try:
            return [self.values[each] for each in found]
        except KeyError as error:
            raise WeightsError(f"{self.path}: {name!r} reads {error}, which nothing gives.") from (
                error
            )

    def _append(self, layer: Layer) -> str:
        before = self.layers[-1] if self.layers else None
        # Padding of its own goes into the convolution that follows it.
        if type(before) is Pad and layer.inputs == (before.name,) and hasattr(layer, "bias"):
            padding = tuple(
                (a + c, b + d)
                for (a, b), (c, d) in zip(before.padding, layer.padding, strict=True)  # type: ignore[attr-defined]
            )
            self.layers.pop()
            layer = layer.replace(inputs=before.inputs, padding=padding)
        self.shapes[layer.name] = layer.output(*(self.shapes[each] for each in layer.inputs))
        self.layers.append(layer)
        return layer.name

    def network(self, name: str, ends: list[str]) -> tuple[Network, tuple[str, ...]]:
        """Return the whole, ending before a final soft-max."""
        if len(ends) > 1:
            raise WeightsError(f"{self.path} has {len(ends)} outputs; one can be read.")
        source = self.values[ends[0]] if ends else self.last
        notes: tuple[str, ...] = ()
        last = next(layer for layer in self.layers if layer.name == source)
        tail = [last.name]
        while not isinstance(last, Softmax) and type(last).__name__ in ("Flatten", "Reshape"):
            known = [layer for layer in self.layers if layer.name == last.inputs[0]]
            if not known or len(self.shapes[known[0].name]) > 1:
                break
            last = known[0]
            tail.append(last.name)
        if isinstance(last, Softmax):
            self.layers = [layer for layer in self.layers if layer.name not in tail]
            source = last.inputs[0]
        try:
            network = Network(
                name=name,
                inputs=tuple(self.inputs),
                layers=tuple(self.layers),
                outputs=(Output(name="logits", source=source),),
            )
        except DesignError as error:
            raise WeightsError(f"{self.path}: {error}") from error
        return network, notes


def _tensors(found: Any) -> list[dict[str, Any]]:
    """Return the tensors among the arguments of a Keras 3 call."""
    if isinstance(found, dict) and found.get("class_name") == "__keras_tensor__":
        return [found]
    if isinstance(found, list):
        return [tensor for each in found for tensor in _tensors(each)]
    return []

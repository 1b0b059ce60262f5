"""A network and its contract as one ONNX model: decoded pixels in, probabilities and label out."""

from __future__ import annotations

import numpy as np

from striate import __version__
from striate.contract import Contract
from striate.design import Network
from striate.export import elementwise as _elementwise  # noqa: F401  registers its kinds
from striate.export.graph import Graph
from striate.export.operators import operators
from striate.export.preprocessing import preprocess
from striate.layers import Net
from striate.records import to_json


def to_onnx(net: Net, contract: Contract) -> bytes:
    """Return a model whose preprocessing is inside.

    Input `pixels`: (batch, height, width, 3) uint8, red first, upright, any size; outputs
    `probabilities`: (batch, classes) float32 and `label`: (batch,) int64, a place in the classes,
    which are kept with the model as `classes`, beside `contract` (its digest), `preparation` (all
    of it), `image` (the value behind the preprocessing) and `striate`.

    Raises:
        DesignError: a layer that cannot be exported; names it.
        UsageError: a contract that cannot be.
        MissingExtra: onnx is not installed.
    """
    graph = Graph()
    image = preprocess(graph, "pixels", contract)
    scores = _network(graph, net, image)
    if contract.output == "distances":
        scores = graph.op("Neg", scores)
    if contract.output == "probabilities":
        graph.op("Identity", scores, name="probabilities")
    else:
        graph.op("Softmax", scores, name="probabilities", axis=1)
    graph.op("ArgMax", "probabilities", name="label", axis=1, keepdims=0)
    classes = [{"id": each.id, "label": each.label} for each in contract.classes]
    return graph.model(
        net.network.name,
        {"pixels": ("UINT8", ("batch", "height", "width", 3))},
        {
            "probabilities": ("FLOAT", ("batch", len(contract.classes))),
            "label": ("INT64", ("batch",)),
        },
        {
            "striate": __version__,
            "contract": contract.digest,
            "preparation": to_json(contract).decode(),
            "image": image,
            "classes": to_json(classes).decode(),
        },
    )


def _network(graph: Graph, net: Net, image: str) -> str:
    """Append the layers that the main output needs; returns its name."""
    network: Network = net.network
    state = {
        name: value.detach().cpu().numpy().astype(np.float32)
        for name, value in net.state_dict().items()
    }
    needed = network.needed(train=False)
    values = {network.inputs[0].name: image}
    for layer in network.layers:
        if layer.name not in needed:
            continue
        scope = f"{layer.shares or layer.name}."
        own = {
            name.removeprefix(scope): value
            for name, value in state.items()
            if name.rpartition(".")[0] == scope[:-1]
        }
        inputs = [values[name] for name in layer.inputs]
        shapes = list(network.input_shapes(layer))
        values[layer.name] = operators(layer, graph, inputs, shapes, own)
    return values[network.outputs[0].source]

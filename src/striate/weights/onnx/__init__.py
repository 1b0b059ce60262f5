"""ONNX models: the network that a graph is, where its operators are ours, and its tensors.

What this house exported is read behind its preprocessing, which is its contract, kept beside it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from striate.contract import Contract
from striate.design import Network
from striate.records import from_json
from striate.weights.drafts import draft
from striate.weights.onnx.facts import stated
from striate.weights.onnx.messages import Model, read_model
from striate.weights.onnx.reading import Reading
from striate.weights.published import usual_contract


def read_onnx(
    path: Path,
) -> tuple[dict[str, Tensor], Network, Contract | None, tuple[str, ...]]:
    """Read an ONNX model: tensors, network, contract (where its exporter says one), notes.

    Raises:
        WeightsError: it is damaged, or calls an operator that cannot be read; names the node.
    """
    model = read_model(path)
    reading = Reading(model, path)
    contract: Contract | None = None
    if "preparation" in model.facts and "image" in model.facts:
        source = f"{path}: preparation"
        contract = from_json(Contract, model.facts["preparation"].encode(), source)
        found = reading.read(model.facts["image"], contract.shape)
    else:
        found = reading.read()
    network = found.network
    if contract is None:
        contract = _stated(model, network, path)
    tensors = {
        name: torch.from_numpy(np.array(array, np.float32, order="C"))
        for name, array in found.tensors.items()
    }
    return tensors, network, contract, found.notes


def _stated(model: Model, network: Network, path: Path) -> Contract | None:
    """Return the contract that the metadata says, or that networks converted from Caffe have."""
    if len(network.input_shape) == 3 and network.input_shape[0] in (1, 3):
        said = stated(model.facts, network, draft(network, path))
        if said is not None:
            return said
    if "caffe" in model.producer.lower():
        return usual_contract("caffe", network.name, network.classes)
    return None

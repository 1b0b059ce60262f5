"""Keras models, as HDF5, `.keras` or TensorFlow.js layers models: the network, and its tensors.

A file with a topology gives the network itself; one that holds tensors only is matched by its
layers' names. Channels come last there and first here, which is undone tensor by tensor.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from striate import zoo
from striate.contract import Contract
from striate.design import BatchNorm, Concat, Flatten, Linear, Network
from striate.errors import WeightsError
from striate.weights.identify import identify
from striate.weights.keras.files import read_files
from striate.weights.keras.topology import identifier, layers_of, read_topology
from striate.weights.maps import KERAS, KERAS_IN_ORDER, KERAS_NETWORKS

_NORM = ("weight", "bias", "running_mean", "running_var")


def read_keras(
    path: Path, network: Network | None = None
) -> tuple[dict[str, Tensor], Network, Contract | None, tuple[str, ...]]:
    """Read a Keras model: tensors, network, contract (which is never in it), notes.

    Args:
        path: `.h5`, `.keras`, a TensorFlow.js `model.json`, its folder, or a tar of it.
        network: what it is for; the file's own topology unless given.

    Raises:
        WeightsError: it is damaged, or has a layer that cannot be read; names it.
        MissingExtra: h5py is not installed.
    """
    topology, arrays = read_files(path)
    notes: tuple[str, ...] = ()
    if network is None and topology is not None:
        network, notes = read_topology(topology, str(path))
    tensors: dict[str, Tensor] = {}
    kinds = {each["config"].get("name"): each["class_name"] for each in layers_of(topology)}
    for name, array in arrays.items():
        layer, _, last = name.rpartition("/")
        if last not in KERAS:
            raise WeightsError(f"{path}: the tensor {name!r} is of no layer that is known.")
        ours, turn = KERAS[last]
        if kinds.get(layer) == "DepthwiseConv2D" and turn == "kernel":
            turn = "depthwise"  # as Keras 3 calls it
        tensors[f"{identifier(layer)}.{ours}"] = torch.from_numpy(_turned(array, turn))
    if network is None and (found := _in_order(tensors)) is not None:
        network, tensors = found
    elif network is None:
        network, notes = _by_names(tensors, path)
    _channels_first(network, tensors, path)
    _shaped(network, tensors)
    _constant_scales(network, tensors)
    return tensors, network, None, notes


def _by_names(tensors: dict[str, Tensor], path: Path) -> tuple[Network, tuple[str, ...]]:
    """Find the network of a file that holds no topology.

    A last convolution of a single pixel may be a linear layer there.
    """
    like = {
        name: value.flatten(1) if value.ndim == 4 and name == list(tensors)[-2] else value
        for name, value in tensors.items()
    }
    return identify(like, str(path), path.name, KERAS_NETWORKS)


def _in_order(tensors: dict[str, Tensor]) -> tuple[Network, dict[str, Tensor]] | None:
    """Find the network whose parameters have these shapes in this order; with them by its names."""
    for spec in KERAS_IN_ORDER:
        network = zoo.network(spec)
        expected = network.parameters()
        if [each.shape for each in expected] == [tuple(each.shape) for each in tensors.values()]:
            names = (each.name for each in expected)
            return network, dict(zip(names, tensors.values(), strict=True))
    return None


def _turned(array: np.ndarray, turn: str) -> np.ndarray:
    """Return a tensor with features before channels before space."""
    if turn == "kernel" and array.ndim == 4 and array.shape[-1] == 1:
        turn = "depthwise"  # of a single filter the order is the same
    if turn == "kernel" and array.ndim > 1:  # (*space, in, out), or (in, out)
        array = array.transpose(-1, -2, *range(array.ndim - 2))
    elif turn == "depthwise":  # (*space, in, multiplier)
        space = array.shape[:-2]
        array = array.transpose(-2, -1, *range(array.ndim - 2)).reshape(-1, 1, *space)
    return np.array(array, np.float32, order="C")


def _channels_first(network: Network, tensors: dict[str, Tensor], path: Path) -> None:
    """Put what follows a Flatten into this side's order, down to the next linear layer.

    Raises:
        WeightsError: a layer mixes such a vector in a way that leaves no order.
    """
    orders: dict[str, Tensor] = {}  # of a vector's elements, as the file numbers them
    for layer in network.layers:
        shapes = network.input_shapes(layer)
        if isinstance(layer, Flatten) and len(shapes[0]) > 1:
            channels, *space = shapes[0]
            stored = torch.arange(channels * math.prod(space)).reshape(*space, channels)
            orders[layer.name] = stored.movedim(-1, 0).reshape(-1)
            continue
        if not any(name in orders for name in layer.inputs):
            continue
        plain = zip(layer.inputs, shapes, strict=True)
        given = [orders.get(name, torch.arange(math.prod(shape))) for name, shape in plain]
        if isinstance(layer, Linear):
            key = f"{layer.name}.weight"
            tensors[key] = tensors[key][:, given[0]].contiguous()
            continue
        if isinstance(layer, Concat):
            starts = np.cumsum([0, *(len(each) for each in given)])
            order = torch.cat([each + int(at) for each, at in zip(given, starts, strict=False)])
        elif network.shapes()[layer.name] == shapes[0] and all(
            torch.equal(each, given[0]) for each in given
        ):
            order = given[0]
        else:
            raise WeightsError(f"{path}: {layer.name} mixes channels and places of the image.")
        orders[layer.name] = order
        for part in _NORM if isinstance(layer, BatchNorm) else ():
            if (key := f"{layer.name}.{part}") in tensors:
                tensors[key] = tensors[key][order].contiguous()


def _shaped(network: Network, tensors: dict[str, Tensor]) -> None:
    """Give tensors the axes of size 1 that the network has: a 1x1 convolution may be linear."""
    shapes = {each.name: each.shape for each in network.parameters()}
    for key, tensor in tensors.items():
        shape = shapes.get(key, tuple(tensor.shape))
        if shape != tuple(tensor.shape) and _squeezed(shape) == _squeezed(tuple(tensor.shape)):
            tensors[key] = tensor.reshape(shape)


def _squeezed(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _constant_scales(network: Network, tensors: dict[str, Tensor]) -> None:
    """Write out the scale or shift that a batch norm was made without."""
    for layer in network.layers:
        if f"{layer.name}.running_mean" in tensors:
            like = tensors[f"{layer.name}.running_mean"]
            tensors.setdefault(f"{layer.name}.weight", torch.ones_like(like))
            tensors.setdefault(f"{layer.name}.bias", torch.zeros_like(like))

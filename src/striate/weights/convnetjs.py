"""ConvNetJS snapshots: a list of layers with their weights, as JSON.

A volume's numbers lie depth last there: index = (width * y + x) * depth + channel. Dropout scales
what it lets through when it predicts, by the probability to drop it, as its code has it.

Source: Karpathy, ConvNetJS, convnet_vol.js and convnet_layers_*.js.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.contract import Contract
from striate.design import (
    LRN,
    Elementwise,
    MaxPool,
    Network,
    ReLU,
    Reshape,
    Sigmoid,
    Sketch,
    Tanh,
)
from striate.errors import DesignError, WeightsError

_ACTIVATIONS = {"relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh}
_LOSSES = ("softmax", "svm", "regression")  # what they are given are the scores
_MOST_BYTES = 1 << 28


def read_convnetjs(
    path: Path,
) -> tuple[dict[str, Tensor], Network, Contract | None, tuple[str, ...]]:
    """Read a snapshot: tensors, network, contract (which is never in it), notes.

    Raises:
        WeightsError: it is damaged, or has a layer that cannot be read.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise WeightsError(f"{path} unpacks to more than {_MOST_BYTES:,} bytes.")
        layers = json.loads(text)["layers"]
        name = path.name.partition(".")[0]
        return *_read(layers, name, path), None, ()
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
        raise WeightsError(f"{path} is no whole ConvNetJS snapshot: {error}.") from error
    except DesignError as error:
        raise WeightsError(f"{path}: {error}") from error


def _read(layers: list[dict[str, Any]], name: str, path: Path) -> tuple[dict[str, Tensor], Network]:
    first = layers[0]
    net = Sketch(name, (first["out_depth"], first["out_sy"], first["out_sx"]))
    space = (first["out_sy"], first["out_sx"], first["out_depth"])
    tensors: dict[str, Tensor] = {}
    for number, layer in enumerate(layers[1:], start=1):
        kind, place = layer["layer_type"], f"layer{number}"
        if kind in ("conv", "fc"):
            if kind == "conv":
                net.conv(
                    place,
                    layer["out_depth"],
                    (layer["sy"], layer["sx"]),
                    stride=layer["stride"],
                    padding=layer["pad"],
                )
            else:
                net.flatten(f"{place}_flat")
                net.linear(place, layer["out_depth"])
            tensors[f"{place}.weight"] = _weight(
                layer["filters"], None if kind == "conv" else space
            )
            tensors[f"{place}.bias"] = torch.from_numpy(_numbers(layer["biases"]))
        elif kind == "pool":
            net.max_pool(
                place, (layer["sy"], layer["sx"]), stride=layer["stride"], padding=layer["pad"]
            )
        elif kind in _ACTIVATIONS:
            net.put(_ACTIVATIONS[kind](name=place, inputs=(net.last,)))
        elif kind == "dropout":
            kept = (float(layer.get("drop_prob", 0.5)), 0.0)
            net.put(Elementwise(name=place, inputs=(net.last,), function="scale", arguments=kept))
        elif kind == "lrn":
            net.put(_response(layer, place, net.last))
        elif kind == "maxout":
            flat = any(each["layer_type"] == "fc" for each in layers[:number])
            _maxout(net, layer["group_size"], place, (space[2], *(() if flat else space[:2])))
        elif kind not in _LOSSES:
            raise WeightsError(
                f"{path}: layer {number} is of type {kind!r}, which cannot be read. What can: "
                f"conv, fc, pool, dropout, lrn, maxout, {', '.join([*_ACTIVATIONS, *_LOSSES])}."
            )
        space = (layer["out_sy"], layer["out_sx"], layer["out_depth"])
    return tensors, net.finish()


def _response(layer: dict[str, Any], place: str, source: str) -> LRN:
    """Return the normalisation; of an even size its window is one channel larger."""
    size = layer["n"] // 2 * 2 + 1
    alpha = layer["alpha"] * size / layer["n"]
    return LRN(
        name=place, inputs=(source,), size=size, alpha=alpha, beta=layer["beta"], k=layer["k"]
    )


def _maxout(net: Sketch, group: int, place: str, shape: tuple[int, ...]) -> None:
    """Append the largest of each group of channels: pooling along an axis made for it."""
    window = (group, *(1,) * (len(shape) - 1))
    net.put(Reshape(name=f"{place}_groups", inputs=(net.last,), shape=(1, *shape)))
    none = ((0, 0),) * len(window)
    net.put(MaxPool(name=place, inputs=(net.last,), kernel=window, stride=window, padding=none))
    pooled = (shape[0] // group, *shape[1:])
    net.put(Reshape(name=f"{place}_channels", inputs=(net.last,), shape=pooled))


def _weight(filters: list[dict[str, Any]], space: tuple[int, int, int] | None) -> Tensor:
    """Return (features, channels, height, width), or (features, channels * places) with space."""
    rows = []
    for each in filters:
        shape = (each["sy"], each["sx"], each["depth"]) if space is None else space
        rows.append(_numbers(each).reshape(shape).transpose(2, 0, 1))
    stacked = np.ascontiguousarray(np.stack(rows))
    return torch.from_numpy(stacked if space is None else stacked.reshape(len(rows), -1))


def _numbers(volume: dict[str, Any]) -> np.ndarray:
    """Return the numbers of a volume, whether they are a list or a map from index to number."""
    held = volume["w"]
    values = [held[str(index)] for index in range(len(held))] if isinstance(held, dict) else held
    return np.asarray(values, np.float32)

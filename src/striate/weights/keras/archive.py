"""Keras 3's `.keras` files: a zip of the topology and of the weights as HDF5.

The weights lie under names made of each layer's type, counted in the topology's order, not under
the layers' own; newer files say these beside. Code that such a file may hold (of Lambda layers) is
never looked at.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from striate.errors import MissingExtra, WeightsError

_MOST = 1 << 31  # bytes of the weights

Arrays = dict[str, np.ndarray]


def read_archive(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return a file's topology, and its arrays by `layer/tensor`.

    Raises:
        WeightsError: a member is missing or too large, or a layer has other arrays than its type.
        MissingExtra: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("Reading a Keras model", "h5py", "import") from error
    with zipfile.ZipFile(path) as archive:
        topology: dict[str, Any] = json.loads(_member(archive, "config.json", path))
        weights = io.BytesIO(_member(archive, "model.weights.h5", path))
    with h5py.File(weights, "r") as file:
        return topology, counted(file, topology, path)


def counted(file: Any, topology: dict[str, Any], path: Path) -> Arrays:
    """Return the arrays of Keras 3's HDF5, which lie under their layers' types and numbers.

    Args:
        file: open, as h5py has it.
        topology: says the layers in the order in which they are counted.
        path: for errors.

    Raises:
        WeightsError: a layer has other arrays than its type.
    """
    root = file["layers"] if "layers" in file else file["_layer_checkpoint_dependencies"]
    named = {
        str(group["vars"].attrs["name"]): group["vars"]
        for group in root.values()
        if "vars" in group and "name" in group["vars"].attrs
    }
    arrays: Arrays = {}
    seen: dict[str, int] = {}
    config = topology["config"]
    for layer in config if isinstance(config, list) else config["layers"]:
        kind, fields = layer["class_name"], layer["config"]
        word = snake(kind)
        count = seen[word] = seen.get(word, -1) + 1
        key = f"{word}_{count}" if count else word
        found = named.get(fields["name"], root[key]["vars"] if key in root else {})
        parts = _parts(kind, fields)
        if len(found) != len(parts):
            raise WeightsError(
                f"{path}: expected {', '.join(parts) or 'no tensor'} of {fields['name']!r} "
                f"({kind}), received {len(found)} tensors."
            )
        for at, part in enumerate(parts):
            arrays[f"{fields['name']}/{part}"] = np.asarray(found[str(at)])
    return arrays


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        held = ", ".join(archive.namelist()[:5])
        raise WeightsError(f"{path} is no Keras model: it has no {name}, but {held}.") from error
    if info.file_size > _MOST:
        raise WeightsError(f"{path}: {name} says {info.file_size:,} bytes, {_MOST:,} at most.")
    return archive.read(info)


def _parts(kind: str, config: dict[str, Any]) -> list[str]:
    """Return the tensors of a layer, in the order in which Keras makes them."""
    if kind in ("Conv2D", "Dense", "DepthwiseConv2D"):
        kernel = "depthwise_kernel" if kind == "DepthwiseConv2D" else "kernel"
        return [kernel, "bias"] if config.get("use_bias", True) else [kernel]
    if kind == "BatchNormalization":
        own = [("gamma", "scale"), ("beta", "center")]
        affine = [part for part, word in own if config.get(word, True)]
        return [*affine, "moving_mean", "moving_variance"]
    return []


def snake(kind: str) -> str:
    """Return a type's name as Keras spells it in the file.

    Example:
        >>> snake("BatchNormalization"), snake("Conv2D"), snake("ReLU")
        ('batch_normalization', 'conv2d', 're_lu')
    """
    plain = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", plain).lower()

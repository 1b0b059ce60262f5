"""The containers: HDF5 and zip as Keras writes them, TensorFlow.js's JSON with binary shards."""

from __future__ import annotations

import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from striate.errors import MissingExtra, WeightsError
from striate.weights.keras.archive import counted, read_archive

Arrays = dict[str, np.ndarray]
Topology = dict[str, Any]

_SHARD = 1 << 30  # bytes of one shard, at most
_TYPES = {"float32": "<f4", "uint8": "u1", "uint16": "<u2", "float16": "<f2", "int32": "<i4"}


def read_files(path: Path) -> tuple[Topology | None, Arrays]:
    """Return a model's topology, where it has one, and its arrays by `layer/tensor`.

    Raises:
        WeightsError: the file is damaged, or of another kind.
        MissingExtra: it is HDF5, and h5py is not installed.
    """
    try:
        if path.is_dir():
            return _tfjs(lambda name: (path / PurePosixPath(name).name).read_bytes(), path)
        if path.suffix == ".tar":
            return _tar(path)
        if path.suffix == ".json":
            return _tfjs(lambda name: (path.parent / PurePosixPath(name).name).read_bytes(), path)
        if path.suffix == ".keras":
            return read_archive(path)
        return _hdf5(path)
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise WeightsError(f"{path} is no whole Keras model: {reason}.") from error


def _hdf5(path: Path) -> tuple[Topology | None, Arrays]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("Reading a Keras model", "h5py", "import") from error
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
        topology = _beside(path) if config is None else json.loads(_text(config))
        if "layers" in file and "model_weights" not in file:
            if topology is None:
                raise WeightsError(
                    f"{path} holds tensors by their layers' numbers alone: put the model's "
                    f"to_json() beside it as {_stem(path)}.json, or save it whole as .keras."
                )
            return topology, counted(file, topology, path)
        if "model_weights" not in file and "layer_names" not in file.attrs:
            raise WeightsError(
                f"{path} is not in Keras's HDF5 form: expected a group model_weights or an "
                f"attribute layer_names, received {', '.join(file) or 'nothing'}."
            )
        root = file["model_weights"] if "model_weights" in file else file
        arrays: Arrays = {}
        for layer in map(_text, root.attrs["layer_names"]):
            for name in map(_text, root[layer].attrs["weight_names"]):
                arrays[_short(name, layer)] = np.asarray(root[layer][name])
    return topology, arrays


def _stem(path: Path) -> str:
    return path.stem.removesuffix(".weights")


def _beside(path: Path) -> Topology | None:
    """Return the topology that lies beside a file of tensors alone, as `to_json` writes it."""
    for name in (f"{path.stem}.json", f"{_stem(path)}.json", "model.json"):
        place = path.with_name(name)
        if place.is_file():
            found = json.loads(place.read_bytes())
            if isinstance(found, dict) and {"class_name", "config"} <= found.keys():
                return found
    return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _short(name: str, layer: str) -> str:
    """Return `layer/tensor` of `layer/layer_2/tensor:0`, or of Keras 1's `layer_tensor_1:0`."""
    last = name.rpartition("/")[2].partition(":")[0].removeprefix(layer + "_")
    return f"{layer}/{re.sub(r'_[0-9]+$', '', last)}"


def _tar(path: Path) -> tuple[Topology | None, Arrays]:
    with tarfile.open(path) as tar:
        members = {PurePosixPath(each.name).name: each for each in tar if each.isfile()}

        def read(name: str) -> bytes:
            member = members.get(PurePosixPath(name).name)
            if member is None or member.size > _SHARD:
                raise WeightsError(
                    f"{path} has no file {name}, which its model.json names: pack it anew."
                )
            file = tar.extractfile(member)
            return b"" if file is None else file.read()

        return _tfjs(read, path)


def _tfjs(read: Callable[[str], bytes], path: Path) -> tuple[Topology | None, Arrays]:
    name = path.name if path.suffix == ".json" else "model.json"
    model = json.loads(read(name))
    if "weightsManifest" not in model:
        raise WeightsError(
            f"{path} is no TensorFlow.js layers model: expected weightsManifest, received "
            f"{', '.join(model)}."
        )
    arrays: Arrays = {}
    for group in model["weightsManifest"]:
        data = b"".join(map(read, group["paths"]))
        start = 0
        for each in group["weights"]:
            array, start = _weight(each, data, start, path)
            layer, _, last = each["name"].rpartition("/")
            arrays[f"{layer.rpartition('/')[2]}/{last}"] = array
        if start != len(data):
            raise WeightsError(f"{path}: expected {start} bytes of weights, received {len(data)}.")
    topology = model.get("modelTopology")
    return (topology or {}).get("model_config", topology), arrays


def _weight(entry: dict[str, Any], data: bytes, start: int, path: Path) -> tuple[np.ndarray, int]:
    """Return one tensor, back from a quantised form, and where the next begins."""
    packed = entry.get("quantization", {})
    kind = _TYPES.get(packed.get("dtype", entry["dtype"]))
    if kind is None:
        raise WeightsError(
            f"{path}: {entry['name']} is of type {entry['dtype']}; expected one of "
            f"{', '.join(_TYPES)}."
        )
    count = int(np.prod(entry["shape"], dtype=np.int64))
    stop = start + count * np.dtype(kind).itemsize
    if stop > len(data):
        raise WeightsError(
            f"{path}: the data of {entry['name']} ends early: expected {stop:,} bytes, received "
            f"{len(data):,}; copy the model anew."
        )
    array = np.frombuffer(data[start:stop], kind).astype(np.float32).reshape(entry["shape"])
    if "scale" in packed:
        array = array * np.float32(packed["scale"]) + np.float32(packed["min"])
    return array, stop

"""What form a file of weights is in: by its name where that says it, else by how it begins."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

from striate.errors import WeightsError

Form = Literal["torch", "keras", "caffe", "onnx", "convnetjs"]

_BY_NAME: dict[str, Form] = {
    ".pth": "torch", ".th": "torch", ".pt": "torch", ".ckpt": "torch", ".bin": "torch",
    ".pkl": "torch", ".safetensors": "torch", ".h5": "keras", ".hdf5": "keras", ".keras": "keras",
    ".caffemodel": "caffe", ".onnx": "onnx",
}  # fmt: skip
_HDF5, _ZIP, _GZIP, _PICKLE = b"\x89HDF", b"PK\x03\x04", b"\x1f\x8b", b"\x80"
_LOOKED_AT = 1 << 16  # characters of a JSON document, in which it says what it is


def form_of(path: Path) -> Form:
    """Return the form of a file or folder.

    Raises:
        WeightsError: it is of none that can be read; says which can.
    """
    if path.is_dir():
        return "keras"
    found = _BY_NAME.get(path.suffix.lower()) or _by_content(path)
    if found is None:
        raise WeightsError(
            f"{path} is of no form that can be read: expected {', '.join(_BY_NAME)}, a "
            "TensorFlow.js model.json (or its folder or tar), or a ConvNetJS snapshot (.json, "
            ".json.gz)."
        )
    return found


def _by_content(path: Path) -> Form | None:
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if start.startswith(_HDF5):
        return "keras"
    if start.startswith(_ZIP):
        return "keras" if _holds(path, "config.json") else "torch"
    if start.startswith(_PICKLE):
        return "torch"
    if start.startswith(_GZIP) and ".json" in path.suffixes:
        return "convnetjs"
    if start.lstrip().startswith(b"{"):
        tensorflow = b"weightsManifest" in start or _says(path, "weightsManifest")
        return "keras" if tensorflow else "convnetjs"
    return "keras" if tarfile.is_tarfile(path) or path.suffix == ".tar" else None


def _holds(path: Path, name: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return name in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _says(path: Path, key: str) -> bool:
    try:
        return key in json.loads(path.read_bytes())
    except (ValueError, TypeError, RecursionError):
        return False

"""npz files: arrays of images and labels, under the names that are in use."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.data.arrays import Part, Source, collect
from striate.errors import DataError

_IMAGES, _LABELS = ("images", "x", "data"), ("labels", "y", "targets", "label")
_PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation"}
_PARTS |= {"test": "test"}
_NAMES = ("classes", "class_names", "names")


def read_npz(path: Path) -> Source:
    """Read images and labels.

    Known names are `images` and `labels` (or `x` and `y`, `data` and `targets`), alone or with a
    part on either side: `x_train`, `train_images`, `val_labels`. `classes` may name the classes.
    Images are uint8: (n, height, width), (n, height, width, channels) or (n, channels, height,
    width).

    Raises:
        DataError: no npz, no arrays of such names, not uint8, or labels that do not fit.
    """
    arrays = _load(path)
    parts = {}
    for key in arrays:
        found = _part_of(key, _IMAGES)
        if found is None:
            continue
        labels = [name for name in arrays if _part_of(name, _LABELS) == found]
        if not labels:
            raise DataError(f"{path} has images in {key!r}, but no labels for them: {_has(arrays)}")
        if len(labels) > 1:
            raise DataError(f"{path} has labels for the {found} part twice: {_has(arrays)}")
        where = (f"{key!r} of {path}", f"{labels[0]!r} of {path}")
        if found in parts:
            raise DataError(f"{path} has images for the {found} part twice: {_has(arrays)}")
        parts[found] = Part(
            _images(arrays[key], where[0]), _labels(arrays[labels[0]], where[1]), *where
        )
    if not parts:
        raise DataError(f"Expected `images` and `labels` in {path}: {_has(arrays)}")
    names = next((name for name in _NAMES if name in arrays), None)
    return collect(parts, None if names is None else _names(arrays[names], f"{names!r} of {path}"))


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} is not an npz file of plain arrays: {str(error).split(chr(10))[0]}"
        ) from error


def _part_of(key: str, stems: tuple[str, ...]) -> str | None:
    """Return the part that a name such as `train_images` speaks of; None if it is no such name."""
    words = key.lower().split("_")
    if words in [[stem] for stem in stems]:
        return "all"
    if len(words) == 2:
        for stem, part in (words, words[::-1]):
            if stem in stems and part in _PARTS:
                return _PARTS[part]
    return None


def _images(images: npt.NDArray[Any], source: str) -> npt.NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise DataError(
            f"Expected images of dtype uint8 in {source}, received {images.dtype}: levels of 0 to "
            "255, images.astype(np.uint8)."
        )
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return images


def _labels(labels: npt.NDArray[Any], source: str) -> npt.NDArray[Any]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iuU":
        raise DataError(
            f"Expected labels of integers or text in {source}, received {labels.dtype}: "
            "labels.astype(np.int64)."
        )
    return labels


def _names(names: npt.NDArray[Any], source: str) -> list[str]:
    if names.dtype.kind == "S":
        names = np.char.decode(names, "utf-8", "replace")
    if names.ndim != 1 or names.dtype.kind not in "iuU" or len(set(names.tolist())) < len(names):
        raise DataError(
            f"Expected a list of different class names in {source}, received {names.dtype} of "
            f"shape {names.shape}."
        )
    return [str(name) for name in names]


def _has(arrays: dict[str, npt.NDArray[Any]]) -> str:
    return f"it has {', '.join(map(repr, arrays)) or 'nothing'}."

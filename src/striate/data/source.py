"""Opening a data set, whatever form it comes in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from striate import progress, wording
from striate.data.arrays import Source
from striate.data.cifar import cifar_below, is_cifar, read_cifar
from striate.data.dataset import Dataset, Skipped, classes_of
from striate.data.folders import Listing, list_folders
from striate.data.idx import is_idx, read_idx
from striate.data.manifest import list_manifest
from striate.data.named import NAMES, read_named
from striate.data.npz import read_npz
from striate.data.packed import is_packed, open_packed
from striate.data.samples import Samples
from striate.data.verify import verify
from striate.errors import DataError, did_you_mean
from striate.records import nearest

_SAID = 5  # files left out that are named one by one


def open(spec: str | Path, *, strict: bool = False, unsorted: bool = False) -> Dataset:
    """Open a data set by name or path.

    Args:
        spec: a named set (`digits`, `mnist`, `fashion_mnist`, `cifar10`), or the path of a folder
            of class folders (with or without train, val and test), of IDX files or of CIFAR (also
            the folder its archive was unpacked in), or of an npz, CSV or packed file.
        strict: a file that cannot be used is an error; otherwise it is left out, said and counted.
        unsorted: take a folder of images without class folders, too, as one class.

    Raises:
        DataError: it is not there, or cannot be used; one sentence, with the path.

    Example:
        >>> digits = open("digits")
        >>> len(digits.classes), len(digits.parts["all"]), digits.channels
        (10, 1797, 'grey')
    """
    if not str(spec).strip():
        raise DataError("Expected the name or path of a data set, received an empty text.")
    if str(spec) in NAMES:
        return _of_arrays(str(spec), str(spec), read_named(str(spec)))
    path = Path(os.path.abspath(Path(spec).expanduser()))
    if wording.spelled(path) != str(path):
        raise DataError(
            f"Expected a path in UTF-8, which a run can note to find its data again, received "
            f"{wording.spelled(path)}: rename the folder or file (below it any name will do)."
        )
    if not path.exists():
        hint = did_you_mean(nearest(str(spec), NAMES)) or f" Named: {', '.join(NAMES)}."
        raise DataError(f"There is no file or folder {spec}, and no data set of that name.{hint}")
    if not (path.is_file() or path.is_dir()):
        raise DataError(f"{path} is neither a file nor a folder; expected one of them.")
    if is_packed(path):
        return open_packed(path)
    source = _arrays(path)
    if source is not None:
        return _of_arrays(path.name if path.is_dir() else path.stem, str(path), source)
    if path.is_dir():
        return _of_files(path, list_folders(path, unsorted), strict)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _of_files(path, list_manifest(path), strict)
    raise DataError(
        f"{path} is not data that is known: expected a folder, or a file of IDX, npz or CSV, or a "
        "packed one."
    )


def _arrays(path: Path) -> Source | None:
    """Read what has all its images in a few files; None for everything else."""
    if is_idx(path):
        return read_idx(path)
    cifar = path if is_cifar(path) else cifar_below(path)
    if cifar is not None:
        return read_cifar(cifar)
    return read_npz(path) if path.is_file() and path.suffix.lower() == ".npz" else None


def _of_arrays(name: str, spec: str, source: Source) -> Dataset:
    dataset = Dataset(name, spec, source.classes, source.parts, notes=source.notes)
    _say((), source.notes)
    return dataset


def _of_files(path: Path, listing: Listing, strict: bool) -> Dataset:
    parts, skipped = verify(listing.files, strict)
    dataset = Dataset(
        path.name if path.is_dir() else path.stem,
        str(path),
        classes_of(listing.ids),
        parts,
        skipped,
        tuple(map(wording.spelled, listing.notes)),
        _lacking(listing, parts),
    )
    _say(skipped, listing.notes)
    return dataset


def _lacking(listing: Listing, parts: Mapping[str, Samples]) -> tuple[str, ...]:
    """Return the classes whose folder is empty, or has nothing but bad files."""
    training = parts.get("train", parts.get("all"))
    there = set(range(len(listing.ids)) if training is None else training.labels.tolist())
    return tuple(id for label, id in enumerate(listing.ids) if label not in there)


def _say(skipped: Sequence[Skipped], notes: Sequence[str]) -> None:
    for note in map(wording.spelled, notes):
        progress.say(f"Note: {note}")
    for one in skipped[:_SAID]:
        progress.say(f"Skipped: {one.reason}")
    if skipped:
        progress.say(f"Files left out because they cannot be used: {len(skipped):,}.")

"""Opening a data set, whatever form it comes in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from striate import progress, runs, wording
from striate.data.arrays import Source
from striate.data.cifar import cifar_below, is_cifar, read_cifar
from striate.data.dataset import Dataset, classes_of
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


def open(
    spec: str | Path, *, strict: bool = False, unsorted: bool = False, named: bool = False
) -> Dataset:
    """Open a data set by name or path.

    Args:
        spec: a named set (`digits`, `mnist`, `fashion_mnist`, `cifar10`), or the path of a folder
            of class folders (with or without train, val and test), of IDX files or of CIFAR (also
            the folder its archive was unpacked in), or of an npz, CSV or packed file.
        strict: a file that cannot be used is an error; otherwise it is left out, said and counted.
        unsorted: take a folder of images without class folders, too, as one class.
        named: say each note, by a caller who names the files left out himself; otherwise one line
            counts both and says what names them.

    Raises:
        DataError: it is not there, is a run, or cannot be used; one sentence, with the path.

    Example:
        >>> digits = open("digits")
        >>> len(digits.classes), len(digits.parts["all"]), digits.channels
        (10, 1797, 'grey')
    """
    dataset = _opened(spec, strict, unsorted)
    if named:
        for note in dataset.notes:
            progress.say(f"Note: {note}")
    elif not is_packed(Path(dataset.spec)):  # whose notes were said when it was packed
        _say(str(spec), dataset)
    return dataset


def _opened(spec: str | Path, strict: bool, unsorted: bool) -> Dataset:
    if not str(spec).strip():
        raise DataError("Expected the name or path of a data set, received an empty text.")
    if str(spec) in NAMES:
        return _of_arrays(str(spec), str(spec), read_named(str(spec)))
    path = Path(os.path.abspath(Path(spec).expanduser()))
    _refuse(spec, path)
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


def _refuse(spec: str | Path, path: Path) -> None:
    """Refuse a place that cannot be data, whatever is read of it."""
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
    if (path / "run.json").is_file():
        own = runs.open_trained(path).recipe_document()["data"]["path"]
        run, data = wording.quoted(path), wording.quoted(own)
        raise DataError(
            f"Expected data, received the run {path}, whose own data is {own}: striate check --run "
            f"{run} looks at it as that run was given it, and striate train {data} --recipe {run} "
            "trains on it again."
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
    return Dataset(name, spec, source.classes, source.parts, notes=source.notes)


def _of_files(path: Path, listing: Listing, strict: bool) -> Dataset:
    parts, skipped = verify(listing.files, strict)
    return Dataset(
        path.name if path.is_dir() else path.stem,
        str(path),
        classes_of(listing.ids),
        parts,
        skipped,
        tuple(map(wording.spelled, listing.notes)),
        _lacking(listing, parts),
    )


def _lacking(listing: Listing, parts: Mapping[str, Samples]) -> tuple[str, ...]:
    """Return the classes whose folder is empty, or has nothing but bad files."""
    training = parts.get("train", parts.get("all"))
    there = set(range(len(listing.ids)) if training is None else training.labels.tolist())
    return tuple(id for label, id in enumerate(listing.ids) if label not in there)


def _say(spec: str, dataset: Dataset) -> None:
    """Say once what was left out and noted, in one line."""
    skipped, notes = dataset.skipped, dataset.notes
    told = [*(f"Skipped: {each.reason}" for each in skipped), *(f"Note: {one}" for one in notes)]
    if len(told) > 1:
        left_out = [f"{wording.count(len(skipped), 'file')} left out"] if skipped else []
        noted = [wording.count(len(notes), "note")] if notes else []
        names = f"striate check {wording.quoted(spec)} names them"
        told = [f"{', '.join(left_out + noted)}: {names}."]
    for line in told:
        progress.say_once(line)

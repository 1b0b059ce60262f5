"""Folders of class folders, with or without parts above them.

`FOLDER/CLASS/…/image.jpg`, or `FOLDER/train/CLASS/…` with `val` and `test` beside `train`. A class
is known by its folder's name, in every part: a class missing in one part never shifts the others.
Links are followed, except those that lead back to a folder they lie in.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from striate import wording
from striate.data.dataset import in_order, some
from striate.data.verify import File
from striate.errors import DataError

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_NOT_CLASSES = {"__MACOSX", "__pycache__", "@eaDir"}


class Listing(NamedTuple):
    """What a reader of files found, before any is opened.

    Args:
        ids: class ids, in the order of labels.
        files: of all parts.
        notes: in whole sentences.
    """

    ids: list[str]
    files: list[File]
    notes: list[str]


def list_folders(path: Path, unsorted: bool = False) -> Listing:
    """List the images of a folder of class folders.

    Args:
        path: the folder.
        unsorted: where it has no folders but images, they are of one class, called as it is.

    Raises:
        DataError: no class folders, or parts that differ in their classes.
    """
    notes: list[str] = []
    if unsorted and not any(each.is_dir() and not _hidden(each.name) for each in _entries(path)):
        loose = [File(each, wording.spelled(each.name), 0, "all") for each in _images(path, notes)]
        if loose:
            return Listing([path.name], loose, notes)
    below = _folders(path, notes)
    parts = _parts(path, below, notes)
    found = {
        part: _classes(
            below if folder == path else _folders(folder, notes), part in ("train", "all"), notes
        )
        for part, folder in parts.items()
    }
    ids = _agree(path, found, notes)
    label = {id: index for index, id in enumerate(ids)}
    files = [
        File(file, wording.spelled(file.relative_to(path).as_posix()), label[id], part)
        for part, classes in found.items()
        for id in in_order(set(classes))
        for file in classes[id]
    ]
    return Listing(ids, files, notes)


def _folders(path: Path, notes: list[str]) -> list[Path]:
    """Return the folders in a folder; what is no class folder is noted."""
    entries = _entries(path)
    if not entries:
        raise DataError(f"The folder {path} is empty; expected a folder of images for each class.")
    folders = [entry for entry in entries if entry.is_dir() and not _leads_back(entry, notes)]
    hidden = [folder for folder in folders if _hidden(folder.name)]
    gone = [entry for entry in entries if entry.is_symlink() and not entry.exists()]
    gone = [link for link in gone if not _hidden(link.name)]
    notes += [f"Ignored the link {link}, which leads nowhere." for link in gone]
    notes += [f"Ignored the hidden folder {folder}." for folder in hidden]
    files = [entry for entry in entries if not entry.is_dir() and entry not in gone]
    loose = sum(is_image_name(file.name) for file in files)
    shown = [folder for folder in folders if folder not in hidden]
    if not shown:
        images = wording.count(loose, "image")
        what = f"{images} but no class folder" if loose else "no class folder"
        raise DataError(f"{path} has {what}; expected a folder of images for each class.")
    if loose:
        notes.append(f"Images ignored in {path}, beside the class folders: {loose:,}.")
    return shown


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _parts(path: Path, below: Sequence[Path], notes: list[str]) -> dict[str, Path]:
    """Return the folder of each part; `all` where there are none."""
    named = [folder for folder in below if folder.name.lower() in PART_NAMES]
    has_train = any(PART_NAMES[folder.name.lower()] == "train" for folder in named)
    all_nested = len(named) == len(below) and all(_has_folders(folder) for folder in named)
    if not (has_train or all_nested):
        return {"all": path}
    parts: dict[str, Path] = {}
    for folder in named:
        part = PART_NAMES[folder.name.lower()]
        if part in parts:
            raise DataError(
                f"Both {parts[part]} and {folder} look like the {part} part: expected one folder; "
                "put all its images there."
            )
        parts[part] = folder
    notes += [f"Ignored {folder}, which is no part." for folder in below if folder not in named]
    order = ("train", "validation", "test")
    return {part: parts[part] for part in order if part in parts}


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir() and not _hidden(entry.name) for entry in folder.iterdir())


def _classes(
    folders: Sequence[Path], for_training: bool, notes: list[str]
) -> dict[str, list[Path]]:
    """Return a part's files by class id; in training a folder without images is a class, too."""
    found: dict[str, list[Path]] = {}
    for each in folders:  # a Mac may have parted the letters of a name from their accents
        id = unicodedata.normalize("NFC", wording.spelled(each.name))
        found.setdefault(id, []).extend(_images(each, notes))
    return {id: files for id, files in found.items() if files or for_training}


def _images(folder: Path, notes: list[str]) -> Iterator[Path]:
    others = 0
    for where, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        hidden = [name for name in folders if _hidden(name)]
        notes += [f"Ignored the hidden folder {Path(where, name)}." for name in hidden]
        shown = sorted(name for name in folders if not _hidden(name))
        folders[:] = [name for name in shown if not _leads_back(Path(where, name), notes)]
        for name in sorted(names):
            if is_image_name(name):
                yield Path(where, name)
            elif not name.startswith("."):
                others += 1
    if others:
        notes.append(f"Files ignored in {folder}, no images by their names: {others:,}.")


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror or error}.") from error


def _leads_back(folder: Path, notes: list[str]) -> bool:
    """Tell (and note) whether a folder is a link to one that it lies in, so that none ends."""
    if not folder.is_symlink():
        return False
    target = folder.resolve()
    back = any(above.resolve().is_relative_to(target) for above in folder.parents)
    if back:
        notes.append(f"Ignored the link {folder}, which leads back to {target}, where it lies.")
    return back


def _agree(path: Path, found: dict[str, dict[str, list[Path]]], notes: list[str]) -> list[str]:
    """Return the class ids of the first part, once the others have no more than those."""
    first, *others = found
    ids = in_order(set(found[first]))
    for part in others:
        more = sorted(set(found[part]) - set(ids))
        fewer = [id for id in ids if id not in found[part]]
        if more:
            lacks = f"; it lacks {some(fewer)}" if fewer else ""
            raise DataError(
                f"The {part} part of {path} has classes that the {first} part has not: "
                f"{some(more)}{lacks}. Call the folders alike, or give each images to train on."
            )
        if fewer:
            notes.append(f"The {part} part of {path} has no images of {some(fewer)}.")
    return ids


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _NOT_CLASSES


def is_image_name(name: str) -> bool:
    """Tell by its suffix whether a file that is not hidden is an image."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in _suffixes()


@cache
def _suffixes() -> frozenset[str]:
    Image.init()
    kinds = {suffix for suffix, kind in Image.EXTENSION.items() if kind in Image.OPEN}
    return frozenset(kinds - {".pdf", ".mpg", ".mpeg", ".h5", ".hdf"})

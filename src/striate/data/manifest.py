"""CSV manifests: a file and a label a row, and a part where the source has a split."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from striate import wording
from striate.data.dataset import in_order, some
from striate.data.folders import PART_NAMES, Listing
from striate.data.verify import File
from striate.errors import DataError

_FILE = ("path", "file", "filename", "image", "filepath", "file_name", "image_path")
_LABEL = ("label", "class", "category", "target", "class_name")
_PART = ("split", "part", "subset", "set")


class _Row(NamedTuple):
    """What a line says: a file, the id of its class, and its part."""

    line: int
    file: str
    id: str
    part: str


def list_manifest(path: Path) -> Listing:
    """List the files of a CSV manifest; relative ones are looked for beside it.

    The first line names the columns: `path` and `label` (or a usual other word), and `split` where
    there is one, of train, val and test. A file that is listed again counts once.

    Raises:
        DataError: a column or a label is missing, a split is none of the three, or a file has two
            labels or is in two splits.
    """
    rows = _rows(path)
    if not rows:
        raise DataError(f"{path} is empty; expected a line of column names and one for each image.")
    columns = [name.strip().lower() for name in rows[0][1]]
    file_at = _column(path, columns, _FILE)
    label_at = _column(path, columns, _LABEL)
    part_at = next((columns.index(name) for name in _PART if name in columns), None)
    found = []
    for line, row in rows[1:]:
        cells = dict(enumerate(cell.strip() for cell in row))
        for at in (file_at, label_at):
            if not cells.get(at):
                raise DataError(f"{path}, line {line}: expected a {columns[at]}, received none.")
        part = _part(path, line, cells, part_at)
        found.append(_Row(line, cells[file_at], cells[label_at], part))
    if not found:
        raise DataError(f"{path} has column names but no image; expected a line for each.")
    if len({row.part == "all" for row in found}) > 1:
        raise DataError(
            f"{path} gives some images a {columns[part_at or 0]} and others none: fill the column "
            "in every line, or leave it out."
        )
    notes: list[str] = []
    once = _once(path, found, notes)
    training = {row.id for row in once if row.part in ("train", "all")}
    ids = in_order(training or {row.id for row in once})
    _check_others(path, once, ids)
    label = {id: index for index, id in enumerate(ids)}
    files = [File(path.parent / row.file, row.file, label[row.id], row.part) for row in once]
    return Listing(ids, files, notes)


def _once(path: Path, rows: list[_Row], notes: list[str]) -> list[_Row]:
    """Return the rows without those that say again what an earlier one said, and note those.

    Raises:
        DataError: two rows give a file two labels or two parts.
    """
    first: dict[str, _Row] = {}
    again = []
    for row in rows:
        earlier = first.setdefault(os.path.abspath(path.parent / row.file), row)
        if earlier is row:
            continue
        if row.id != earlier.id:
            raise DataError(
                f"{path} gives {row.file} two labels: {earlier.id!r} in line {earlier.line} and "
                f"{row.id!r} in line {row.line}; keep the one that is right."
            )
        if row.part != earlier.part:
            raise DataError(
                f"{path} puts {row.file} into two parts: {earlier.part} in line {earlier.line} and "
                f"{row.part} in line {row.line}; keep one, or the test is of what was trained on."
            )
        again.append(row)
    if again:
        notes.append(
            f"Listed again in {path}, and counted once: {wording.count(len(again), 'image')}; the "
            f"first in line {again[0].line}, {again[0].file}."
        )
    return list(first.values())


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with their line numbers."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter)
            return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _column(path: Path, columns: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in columns:
            return columns.index(name)
    raise DataError(
        f"{path} has no column {names[0]!r}; it has {', '.join(map(repr, columns)) or 'none'}."
    )


def _part(path: Path, line: int, cells: Mapping[int, str], at: int | None) -> str:
    name = cells.get(at, "") if at is not None else ""
    if not name:
        return "all"
    if name.lower() not in PART_NAMES:
        raise DataError(f"{path}, line {line}: expected train, val or test, received {name!r}.")
    return PART_NAMES[name.lower()]


def _check_others(path: Path, rows: list[_Row], ids: list[str]) -> None:
    known = set(ids)
    for row in rows:
        if row.id not in known:
            raise DataError(
                f"{path}: {row.file} of the {row.part} part has the label {row.id!r}, which no "
                f"training image has: expected one of {some(ids)}."
            )

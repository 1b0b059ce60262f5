"""CSV manifests: a file and a label a row, and a part where the source has a split."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from striate.data.dataset import in_order
from striate.data.folders import PART_NAMES, Listing
from striate.data.verify import File
from striate.errors import DataError

_FILE = ("path", "file", "filename", "image", "filepath", "file_name", "image_path")
_LABEL = ("label", "class", "category", "target", "class_name")
_PART = ("split", "part", "subset", "set")


def list_manifest(path: Path) -> Listing:
    """List the files of a CSV manifest; relative ones are looked for beside it.

    The first line names the columns: `path` and `label` (or a usual other word), and `split` where
    there is one, of train, val and test.

    Raises:
        DataError: a column or a label is missing, or a split is none of the three.
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
                raise DataError(f"{path}, line {line}: no {columns[at]}.")
        found.append((cells[file_at], cells[label_at], _part(path, line, cells, part_at)))
    if not found:
        raise DataError(f"{path} has column names but no image.")
    if len({part == "all" for _, _, part in found}) > 1:
        raise DataError(f"{path} gives some images a {columns[part_at or 0]} and others none.")
    training = {id for _, id, part in found if part in ("train", "all")}
    ids = in_order(training or {id for _, id, _ in found})
    _check_others(path, found, ids)
    label = {id: index for index, id in enumerate(ids)}
    return Listing(
        ids, [File(path.parent / file, file, label[id], part) for file, id, part in found], []
    )


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


def _check_others(path: Path, found: list[tuple[str, str, str]], ids: list[str]) -> None:
    for file, id, part in found:
        if id not in ids:
            raise DataError(
                f"{path}: {file} of the {part} part has the label {id!r}, which no training image "
                "has."
            )

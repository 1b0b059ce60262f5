"""Rows of a sheet folded by scope: ResNet-152 in fifteen lines, blocks alike as one.

A folded line stands for one scope, or for several alike in a row: the same layers with the same
attributes, shapes and wiring, each reading the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from striate.design.sheet import Row


class Fold(NamedTuple):
    """Some consecutive rows seen as one.

    Args:
        names: the layer, or the scopes that are alike.
        rows: the layer, or all rows of the first of those scopes.
        every: all rows of all of them.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    every: tuple[Row, ...]

    @property
    def folded(self) -> bool:
        """Whether it stands for a scope."""
        return self.names[0] != self.rows[0].name

    @property
    def name(self) -> str:
        """Its name, or those of the first and last: `layer3.1 - 35`."""
        first, last = self.names[0], self.names[-1]
        if len(self.names) == 1:
            return first
        scope = first.rpartition(".")[0]
        same = scope and last.rpartition(".")[0] == scope
        return f"{first}-{last.rpartition('.')[2] if same else last}"


def fold(
    rows: Sequence[Row], depth: int | None = None, *, alike: bool = True, growing: bool = False
) -> tuple[Fold, ...]:
    """Fold rows whose names are longer than `depth` parts into their scopes.

    Args:
        rows: of a sheet, in execution order.
        depth: parts of a name that stay: 1 folds `layer3.0.conv1` to `layer3`; None folds nothing.
        alike: whether scopes alike in a row become one.
        growing: whether dense layers are alike, which each add channels to what they read.
    """
    if depth is None:
        return tuple(Fold((row.name,), (row,), (row,)) for row in rows)
    scopes = [
        (name, tuple(group)) for name, group in groupby(rows, key=lambda row: _scope(row, depth))
    ]
    folds: list[Fold] = []
    signatures: list[object] = []
    for name, group in scopes:
        single = len(group) == 1
        before = folds[-1] if folds else None
        signature = None if single else _signature(name, group, before, growing)
        if alike and before and signature is not None and signature == signatures[-1]:
            folds[-1] = Fold((*before.names, name), before.rows, before.every + group)
            continue
        folds.append(Fold((group[0].name if single else name,), group, group))
        signatures.append(signature)
    return tuple(folds)


def fitting_depth(rows: Sequence[Row], most: int) -> int | None:
    """Return the greatest depth that folds the rows into at most so many, None to fold nothing."""
    if len(rows) <= most:
        return None
    deepest = max(row.name.count(".") for row in rows)
    depths = range(deepest, 1, -1)
    return next((depth for depth in depths if len(fold(rows, depth)) <= most), 1)


def _scope(row: Row, depth: int) -> str:
    return ".".join(row.name.split(".")[:depth])


def _signature(name: str, rows: tuple[Row, ...], before: Fold | None, growing: bool) -> object:
    """Return what makes scopes alike: everything but names, `<` for what stands before it."""
    dense = growing and rows[-1].kind == "concat"
    inside = {row.name: row.name[len(name) :] for row in rows}
    previous = before.every[-1].name if before else None

    def source(value: str) -> str:
        return inside.get(value, "<" if value == previous else value)

    return tuple(
        (inside[row.name], row.caption)
        + ((row.output[1:],) if dense else (row.output, row.parameters, row.macs))
        + tuple(map(source, row.inputs))
        for row in rows
    )

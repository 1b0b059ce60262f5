"""What is drawn of a sheet: boxes, the frames they stand in, and who reads whom.

A box is a weighty layer with the norms, activations and dropouts right behind it, or a whole scope.
A frame is a scope whose branches meet; several alike in a row are drawn once with a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from striate.design.folding import Fold, fold
from striate.design.linear import by
from striate.design.sheet import Row, Sheet

EASY = 44  # boxes that are followed without folding anything
MOST = 130  # boxes that are still followed
_FRAME = 30  # boxes in a frame
_ATTACHED = {"norm", "activation", "dropout"}
_WEIGHTY = ("conv", "fc", "pool", "opaque")


class Box(NamedTuple):
    """A box of the drawing.

    Args:
        key: name of its first layer, or of its scope.
        title: the layer in a few words.
        below: its name, and what is attached to it.
        family: what colours it; `scope` for a folded one.
        stripes: the family of what is attached.
        inside: the family of weighty layers in a folded scope, in order.
        volume: of its output, spelled.
        inputs: keys of the boxes it reads.
        frame: the scope it stands in, or nothing.
        optional: whether only training needs it.
    """

    key: str
    title: str
    below: str
    family: str
    stripes: tuple[str, ...]
    inside: tuple[str, ...]
    volume: str
    inputs: tuple[str, ...]
    frame: str
    optional: bool


class Graph(NamedTuple):
    """Boxes in execution order, and how many scopes each frame stands for."""

    boxes: tuple[Box, ...]
    frames: dict[str, tuple[str, int]]


def graph(sheet: Sheet, *, depth: int | None = None, every: bool = False) -> Graph:
    """Choose what to draw: everything, scopes alike once, or scopes as boxes, until it is legible.

    Args:
        sheet: of the network.
        depth: parts of a name that stay; deeper scopes are boxes.
        every: draw every layer, however many.
    """
    rows = sheet.layers
    if depth is not None:
        return _boxes(sheet, fold(rows, depth))
    whole = _boxes(sheet, fold(rows))
    if every or len(whole.boxes) <= EASY:
        return whole
    deepest = max(row.name.count(".") for row in rows)
    once = [_boxes(sheet, _alike(rows, each)) for each in range(deepest, 0, -1)]
    boxed = [_boxes(sheet, fold(rows, each)) for each in range(deepest, 0, -1)]
    best = min(once, key=lambda each: len(each.boxes), default=whole)
    return next((each for each in (best, *boxed) if _legible(each)), boxed[-1] if boxed else whole)


def _legible(drawn: Graph) -> bool:
    edges = sum(len(box.inputs) for box in drawn.boxes)
    return len(drawn.boxes) <= MOST and edges <= 1.7 * len(drawn.boxes) + 8


def _alike(rows: Sequence[Row], depth: int) -> tuple[Fold, ...]:
    """Unfold scopes again, keeping those alike as one."""
    unfolded: list[Fold] = []
    for each in fold(rows, depth, growing=True):
        if len(each.names) == 1:
            unfolded += [Fold((row.name,), (row,), (row,)) for row in each.every]
            continue
        for index, row in enumerate(each.rows):
            unfolded.append(Fold((row.name,), (row,), each.every[index :: len(each.rows)]))
    return tuple(unfolded)


def _boxes(sheet: Sheet, folds: Iterable[Fold]) -> Graph:
    folds = tuple(folds)
    drawn = {row.name: each.names[0] for each in folds for row in each.every}
    readers: dict[str, set[str]] = {}
    for each in folds:
        for source in _sources(each, drawn):
            readers.setdefault(source, set()).add(each.names[0])
    optional = _optional(sheet)
    frames = _frames(folds, optional)
    outputs = {drawn.get(output.source) for output in sheet.outputs}
    parts: dict[str, list[Fold]] = {}
    holder: dict[str, str] = {}
    for each in folds:
        key, sources = each.names[0], _sources(each, drawn)
        into = holder.get(sources[0]) if len(sources) == 1 else None
        if (
            into
            and not each.folded
            and _attaches(each.rows[0])
            and parts[into][-1].names[0] == sources[0]
            and not parts[into][0].folded
            and readers[sources[0]] == {key}
            and sources[0] not in outputs
            and _frame_of(key, frames) == _frame_of(into, frames)
        ):
            parts[into].append(each)
            holder[key] = into
        else:
            parts[key] = [each]
            holder[key] = key
    boxes = [_input(name, shape) for name, shape in sheet.inputs.items()]
    known = {box.key: box.key for box in boxes} | holder
    for key, chain in parts.items():
        inputs = tuple(dict.fromkeys(known[source] for source in _sources(chain[0], drawn)))
        boxes.append(_box(key, chain, inputs, _frame_of(key, frames), optional))
    return Graph(tuple(boxes), frames)


def _input(name: str, shape: tuple[int, ...]) -> Box:
    return Box(name, "input", name, "input", (), (), by(shape), (), "", False)


def _box(
    key: str, chain: Sequence[Fold], inputs: tuple[str, ...], frame: str, optional: set[str]
) -> Box:
    head, ends = chain[0], chain[-1]
    last = ends.every[-1]
    within = f"{frame}."  # no name begins with a dot alone
    names = [each.names[0].removeprefix(within) for each in chain]
    if head.folded:
        title, below, family = head.name.removeprefix(within), contents(head), "scope"
    else:
        title, family = head.rows[0].caption, head.rows[0].family
        words = {"activation": "caption", "dropout": "kind", "norm": "family"}
        attached = [getattr(e.rows[0], words.get(e.rows[0].family, "kind")) for e in chain[1:]]
        below = " + ".join([names[0], *attached])
    return Box(
        key=key,
        title=title,
        below=below,
        family=family,
        stripes=tuple(each.rows[0].family for each in chain[1:] if each.rows[0].family != "shape"),
        inside=tuple(r.family for r in head.rows if r.family in _WEIGHTY) if head.folded else (),
        volume=by(last.output) if ends.folded else _growth(ends.every[0].output, last.output),
        inputs=inputs,
        frame=frame,
        optional=last.name in optional,
    )


def _growth(first: tuple[int, ...], last: tuple[int, ...]) -> str:
    """Spell a volume, with the channels of the first of several dense layers: `96 to 256x56x56`."""
    return by(last) if first == last else f"{first[0]} to {by(last)}"


def contents(each: Fold) -> str:
    """Say what a folded scope holds: `6 x (conv 1x1 128, conv 3x3 32 pad 1)`."""
    weighty = [row.caption for row in each.rows if row.family in _WEIGHTY]
    times = f"{len(each.names)} x " if len(each.names) > 1 else ""
    for period in range(1, min(len(weighty), 4) + 1):
        count, rest = divmod(len(weighty), period)
        if rest == 0 and count > 1 and weighty[:period] * count == weighty:
            return f"{times}{count} x ({', '.join(weighty[:period])})"
    if len(weighty) <= 3:
        return times + (", ".join(weighty) or f"{len(each.rows)} layers")
    return f"{times}{len(weighty)} layers with windows or weights"


def _attaches(row: Row) -> bool:
    return row.family in _ATTACHED or row.kind in ("flatten", "identity")


def _sources(each: Fold, drawn: dict[str, str]) -> tuple[str, ...]:
    """Return what a fold reads from outside itself, by the names that are drawn."""
    inside = {row.name for row in each.rows}
    names = (name for row in each.rows for name in row.inputs if name not in inside)
    return tuple(dict.fromkeys(drawn.get(name, name) for name in names))


def _optional(sheet: Sheet) -> set[str]:
    """Return the names of what only training needs."""
    needed = {output.source for output in sheet.outputs if not output.train_only}
    for row in reversed(sheet.layers):
        if row.name in needed:
            needed.update(row.inputs)
    return {row.name for row in sheet.layers} - needed


def _frames(folds: Sequence[Fold], optional: set[str]) -> dict[str, tuple[str, int]]:
    """Return the scopes to frame, with a label and how many they stand for."""
    joins = [
        each.names[0].rpartition(".")[0]
        for each in folds
        if not each.folded
        and "." in each.names[0]
        and (each.rows[0].family == "join" or each.rows[0].name in optional)
    ]
    frames: dict[str, tuple[str, int]] = {}
    for scope in sorted(set(joins), key=lambda name: name.count(".")):
        inside = [each for each in folds if each.names[0].startswith(f"{scope}.")]
        if len(inside) <= 3 * _FRAME and not _frame_of(scope, frames):
            frames[scope] = _label(scope, inside[0])
    return frames


def _label(scope: str, first: Fold) -> tuple[str, int]:
    """Return what stands above a frame, `layer3.1 - 35`, and how many scopes it stands for."""
    times = 1 if first.folded else len(first.every)
    last = first.every[-1].name.removesuffix(first.names[0].removeprefix(scope))
    return (scope if times == 1 else f"{scope} - {last.rpartition('.')[2]}", times)


def _frame_of(name: str, frames: dict[str, tuple[str, int]]) -> str:
    parts = name.split(".")
    scopes = (".".join(parts[:count]) for count in range(1, len(parts)))
    return next((scope for scope in scopes if scope in frames), "")

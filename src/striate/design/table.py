"""The sheet as text for a terminal and as markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.design.folding import Fold, fitting_depth, fold
from striate.design.linear import by
from striate.design.receptive import Field

if TYPE_CHECKING:
    from striate.design.sheet import Row, Sheet

HEADER = ("layer", "what", "output", "parameters", "MACs", "memory", "field", "stride")
WORDS = 3  # the first columns are words, to the left
ROWS = 48  # that a table has at most before its scopes are folded
_NARROW = 100  # columns of a terminal below which numbers are shortened
_LONGEST = 44  # letters of a name or a caption


def text(sheet: Sheet, *, depth: int | None = None, every: bool = False, width: int = 120) -> str:
    """Return the table, the totals and the notes as plain text.

    Args:
        sheet: what to show.
        depth: parts of a layer's name that stay; deeper scopes are folded. Chosen for at most 48
            lines unless given.
        every: show every layer.
        width: columns of the terminal.
    """
    folds = folded(sheet.layers, depth, every)
    short = width < _NARROW
    lines = [cells(each, short) for each in folds]
    shown = [HEADER, *lines] if not short else [row[:-1] for row in (HEADER, *lines)]
    body = _columns(shown, width)
    hidden = len(sheet.layers) - len(folds)
    if hidden > 0:
        body.append(f"({len(sheet.layers)} layers, folded; --all shows each, --depth N fewer.)")
    return "\n".join([*body, "", *totals(sheet), *_wrapped(sheet.notes, width)])


def markdown(sheet: Sheet, *, depth: int | None = None, every: bool = False) -> str:
    """Return the same as GitHub's markdown."""
    lines = [f"# {sheet.network}", ""]
    title, *sums = totals(sheet)
    lines += [title, "", *(f"- {line.strip()}" for line in sums), ""]
    lines += [_pipes(HEADER), _pipes([*["---"] * WORDS, *["---:"] * (len(HEADER) - WORDS)])]
    lines += [_pipes(cells(each)) for each in folded(sheet.layers, depth, every)]
    if sheet.notes:
        lines += ["", *(f"- {_escaped(note)}" for note in sheet.notes)]
    return "\n".join(lines) + "\n"


def folded(rows: Sequence[Row], depth: int | None, every: bool) -> tuple[Fold, ...]:
    """Fold rows as asked, or so that they fit a page."""
    if every:
        return fold(rows)
    return fold(rows, fitting_depth(rows, ROWS) if depth is None else depth)


def cells(each: Fold, short: bool = False) -> tuple[str, ...]:
    """Return a line's cells in the order of `HEADER`; empty where there is nothing."""
    number = _rounded if short else "{:,}".format
    last = each.every[-1]
    parameters, macs, memory = (
        sum(getattr(row, key) for row in each.every)
        for key in ("parameters", "macs", "activation_bytes")
    )
    return (
        each.name,
        summary(each) if each.folded else last.caption,
        by(last.output),
        number(parameters) if parameters else "",
        number(macs) if macs else "",
        spell_bytes(memory) if memory else "",
        *_field(last.receptive_field),
    )


def summary(each: Fold) -> str:
    """Say what a folded scope holds: `x35: 3 conv, 3 norm, 1 add`."""
    weighty = [row for row in each.rows if row.family not in ("norm", "activation", "dropout")]
    if len(weighty) == 1 and len(each.names) == 1:
        return weighty[0].caption
    counts = Counter(row.family if row.family != "join" else row.kind for row in each.rows)
    shown = [
        family
        for family in ("conv", "fc", "pool", "norm", "add", "concat", "opaque")
        if counts[family]
    ]
    inside = (
        ", ".join(f"{counts[family]} {family}" for family in shown) or f"{len(each.rows)} layers"
    )
    return f"x{len(each.names)}: {inside}" if len(each.names) > 1 else inside


def totals(sheet: Sheet) -> Iterator[str]:
    """Yield the totals, a line each."""
    total, memory = sheet.totals, sheet.memory
    yield f"{sheet.network} on {by(sheet.input)}"
    yield f"  {_parameters(sheet)}, {spell_bytes(memory.parameters)} in float32"
    yield f"  {total.macs:,} multiply-adds (MACs) = {total.flops:,} FLOPs an image"
    yield (
        f"  {total.activations:,} activations an image, {spell_bytes(total.activation_bytes)}; "
        f"{total.neurons:,} neurons (conv, fc)"
    )
    images = "one image" if memory.batch == 1 else f"{memory.batch} images"
    yield (
        f"  memory for {images}: forward {spell_bytes(memory.forward)} at once; training keeps "
        f"{spell_bytes(memory.kept)}"
    )
    yield (
        f"  training takes {spell_bytes(memory.training)} at its peak, with weights, gradients, "
        "momentum"
    )
    yield f"  {_field_in_words(total.receptive_field)}"


def spell_bytes(count: int) -> str:
    """Spell bytes in units of 1000, as disks and GPUs are sold: 18.8 kB."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"


def _rounded(count: int) -> str:
    """Spell a count in three digits: 15.5 G."""
    for unit, scale in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return str(count)


def _field(field: Field) -> tuple[str, str]:
    if field.whole:
        return "all", _stride_of_all(field)
    mark = "" if field.aligned else "*"
    return (
        _sizes([axis.size for axis in field.axes]) + mark,
        _sizes([axis.stride for axis in field.axes]),
    )


def _stride_of_all(field: Field) -> str:
    """Return how far units stand apart that see everything; empty where they have no place."""
    placed = any(axis.stride < axis.size for axis in field.axes)
    return _sizes([axis.stride for axis in field.axes]) if placed else ""


def _field_in_words(field: Field) -> str:
    if field.whole:
        stride = _stride_of_all(field)
        return "receptive field: the whole image" + (f", stride {stride}" if stride else "")
    size, stride = (
        _sizes([getattr(axis, key) for axis in field.axes]) for key in ("size", "stride")
    )
    branches = "" if field.aligned else " (* branches not aligned)"
    return f"receptive field {size} px, stride {stride}, before global pooling or fc{branches}"


def _parameters(sheet: Sheet) -> str:
    total = sheet.totals
    spelled = f"{total.parameters:,} parameters"
    if total.parameters == total.evaluation_parameters:
        return spelled
    return f"{spelled} ({total.evaluation_parameters:,} without heads for training)"


def _sizes(sizes: Sequence[int]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else by(tuple(sizes))


def _columns(lines: Sequence[Sequence[str]], width: int) -> list[str]:
    """Set columns two spaces apart; where they are too wide, words give way."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    for column, least in ((1, 16), (0, 16), (1, 8)):
        widths[column] = min(widths[column], _LONGEST)
        cut = max(0, min(over, widths[column] - least))
        widths[column] -= cut
        over -= cut
    return [
        "  ".join(
            _cut(cell, size, column).ljust(size) if column < WORDS else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _cut(cell: str, size: int, column: int) -> str:
    """Shorten words at their end, names in the middle: the scope and the layer both tell."""
    if len(cell) <= size:
        return cell
    tail = (size - 2) * 2 // 3 if column == 0 else 0
    return f"{cell[: size - 2 - tail]}..{cell[len(cell) - tail :]}"


def _wrapped(notes: Sequence[str], width: int) -> Iterator[str]:
    import textwrap

    for note in notes:
        yield from textwrap.wrap(note, min(width, 100), subsequent_indent="  ") or [""]


def _pipes(row: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, row))} |"


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")

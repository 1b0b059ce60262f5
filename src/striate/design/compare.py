"""Several networks side by side."""

from __future__ import annotations

from collections.abc import Sequence

from striate.design.linear import by
from striate.design.sheet import Sheet
from striate.design.table import spell_bytes

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]

_BESIDE = 5  # networks that stand in columns; more stand in rows


def comparison(
    sheets: Sequence[Sheet], published: Sequence[str] = (), headings: Sequence[str] = ()
) -> Table:
    """Return a header and rows: a column for each network, or a row where they are many.

    Args:
        sheets: of the networks.
        published: the accuracy of each, where one is known; empty otherwise.
        headings: what each is called; its network's name unless given.
    """
    names = ("", *(headings or (sheet.network for sheet in sheets)))
    rows = [(name, *values) for name, values in _quantities(sheets)]
    if any(published):
        rows.append(("published", *published))
    if len(sheets) <= _BESIDE:
        return names, rows
    header, *lines = zip(names, *rows, strict=True)
    return ("network", *header[1:]), list(lines)


def text(table: Table) -> str:
    """Set a comparison for a terminal."""
    header, rows = table
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (header, *rows)
    )


def markdown(table: Table) -> str:
    """Set a comparison as GitHub's markdown."""
    header, rows = table
    rule = ("---", *["---:"] * (len(header) - 1))
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows)) + "\n"


def _quantities(sheets: Sequence[Sheet]) -> list[tuple[str, list[str]]]:
    first = sheets[0].totals

    def ratio(value: int, base: int) -> str:
        return "" if value == base or not base else f" ({_times(value / base)})"

    def field(sheet: Sheet) -> str:
        axes = sheet.totals.receptive_field
        return "all" if axes.whole else by(tuple(axis.size for axis in axes.axes))

    return [
        ("input", [by(sheet.input) for sheet in sheets]),
        (
            "weighty layers",
            [str(sum(row.family in ("conv", "fc") for row in sheet.layers)) for sheet in sheets],
        ),
        (
            "parameters",
            [
                f"{s.totals.parameters:,}" + ratio(s.totals.parameters, first.parameters)
                for s in sheets
            ],
        ),
        ("MACs", [f"{s.totals.macs:,}" + ratio(s.totals.macs, first.macs) for s in sheets]),
        ("FLOPs", [f"{s.totals.flops:,}" for s in sheets]),
        ("neurons", [f"{s.totals.neurons:,}" for s in sheets]),
        (
            "activations",
            [
                f"{s.totals.activations:,}" + ratio(s.totals.activations, first.activations)
                for s in sheets
            ],
        ),
        ("batch", [str(s.memory.batch) for s in sheets]),
        ("forward at once", [spell_bytes(s.memory.forward) for s in sheets]),
        ("kept in training", [spell_bytes(s.memory.kept) for s in sheets]),
        ("receptive field", [field(s) for s in sheets]),
    ]


def _times(ratio: float) -> str:
    return f"{ratio:.3g}x" if ratio < 100 else f"{ratio:,.0f}x"

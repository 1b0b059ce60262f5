"""Words for numbers and for names, where a sentence or a document holds one; plain tables."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_WINDOWS = os.name == "nt"
_STRAY = re.compile("[\ud800-\udfff]")


def count(number: int, one: str) -> str:
    """Spell how many there are.

    Example:
        >>> count(1, "epoch"), count(40_000, "image"), count(2, "class")
        ('1 epoch', '40,000 images', '2 classes')
    """
    ending = "" if number == 1 else "es" if one.endswith("s") else "s"
    return f"{number:,} {one}{ending}"


def spelled(name: str | Path) -> str:
    r"""Spell a file's name (or a sentence with one) as text that UTF-8 can hold.

    Names that are no UTF-8 reach Python with a surrogate for each stray byte; each is spelled as
    that byte, so that a reader finds the file again: `ls $'caf\xe9.jpg'`.

    Example:
        >>> print(spelled("caf\udce9.jpg"), spelled("café.jpg"))
        caf\xe9.jpg café.jpg
    """
    return _STRAY.sub(lambda found: _escape(ord(found[0])), str(name))


def quoted(argument: str | Path) -> str:
    """Spell an argument of a command as it is typed here, with quotes where it needs them.

    Example:
        >>> quoted("runs/digits-001"), quoted("my photos")
        ('runs/digits-001', "'my photos'")
    """
    if _WINDOWS:  # whose prompt knows no other quotes
        import subprocess

        return subprocess.list2cmdline([str(argument)])
    return shlex.quote(str(argument))


def _escape(code: int) -> str:
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def duration(seconds: float) -> str:
    """Spell a time: 9.31 -> 9.3 s, 75 -> 1 min 15 s, 5400 -> 1 h 30 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], indent: str = "") -> str:
    """Set a table in plain text: numbers to the right, words to the left, two spaces between.

    Args:
        header: one word a column.
        rows: cells; integers get thousands separators, None an empty cell.
        indent: what each line begins with.
    """
    body = [[_cell(value) for value in row] for row in rows]
    lines = [list(header), *((text for text, _ in row) for row in body)]
    right = [
        bool(body) and all(number or not text for text, number in column)
        for column in zip(*body, strict=True)
    ] or [False] * len(header)
    columns = [list(column) for column in zip(*lines, strict=True)]
    widths = [max(len(text) for text in column) for column in columns]
    set_columns = [
        [text.rjust(width) if to_right else text.ljust(width) for text in column]
        for column, width, to_right in zip(columns, widths, right, strict=True)
    ]
    return "\n".join((indent + "  ".join(row)).rstrip() for row in zip(*set_columns, strict=True))


def _cell(value: Any) -> tuple[str, bool]:
    """Return a cell's text, and whether it is a number."""
    if value is None:
        return "", False
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}", True
    if isinstance(value, float):
        return f"{value:g}", True
    text = str(value)
    return text, text[:1].isdigit() and text.rstrip("%").replace(".", "", 1).isdigit()

"""Errors that point: a place in a text, said by line and column and shown with a caret."""

from __future__ import annotations

from striate.errors import NotationError

_WIDTH = 76  # of the text shown around the place


class Text:
    """A text that a network is read from.

    Args:
        content: as the user wrote it.
        source: what to call it in an error: `notation`, or the path of a file.
    """

    def __init__(self, content: str, source: str) -> None:
        self.content, self.source = content, source

    def place(self, position: int) -> tuple[int, int]:
        """Return (line, column) of a position, both counted from 1."""
        before = self.content[:position]
        return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1

    def error(
        self,
        position: int,
        message: str,
        *,
        layer: str | None = None,
        table: str = "",
        least: tuple[int, ...] | None = None,
    ) -> NotationError:
        """Return the error that points at a position; the rest is as of `DesignError`."""
        position = min(max(position, 0), len(self.content))
        line, column = self.place(position)
        where = f"{self.source}, line {line}, column {column}"
        message = " ".join(message.split())
        said = f"{where}: {message}\n{self._excerpt(position)}"
        return NotationError(said, line, column, layer=layer, table=table, least=least)

    def _excerpt(self, position: int) -> str:
        """Return the line around a position, and a caret below it."""
        start = self.content.rfind("\n", 0, position) + 1
        end = self.content.find("\n", position)
        end = len(self.content) if end < 0 else end
        left = max(start, min(position - _WIDTH // 2, end - _WIDTH))
        shown = self.content[left : min(end, left + _WIDTH)]
        shown = "".join(char if char.isprintable() else " " for char in shown)
        before, after = "..." if left > start else "", "..." if left + _WIDTH < end else ""
        return f"    {before}{shown}{after}\n    {' ' * (len(before) + position - left)}^"

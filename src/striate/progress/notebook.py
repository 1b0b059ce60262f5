"""In a notebook: one output a cell, rewritten in place, however long the work.

It holds the last lines that were said, and a line for each task under way. IPython is there already
where this is used, and never imported otherwise.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from striate.progress.display import Counted, Task
from striate.wording import duration

_LINES = 20  # so many said lines stay in sight
_WIDTH = 30  # characters of a bar


class Notebook:
    """The display of a notebook's cells."""

    def __init__(self) -> None:
        self._cell: object = None
        self._place: Any = None
        self._said = list[str]()
        self._rows = list[_Row]()

    def task(self, what: str, unit: str, total: int | None) -> Task:
        """Begin a task, whose bar appears when it turns out to take a while."""
        row = _Row(self, what, unit, total)
        self._rows.append(row)
        return row

    def say(self, text: str) -> None:
        """Show a line above the bars."""
        self._begin()
        self._said += text.splitlines()
        self.draw()

    def ended(self, row: _Row) -> None:
        """Take a task away."""
        if row in self._rows:
            self._rows.remove(row)
            if row.shown:
                self.draw()

    def draw(self) -> None:
        """Rewrite this cell's output."""
        self._begin()
        before = len(self._said) - _LINES
        lines = [f"({before} lines before)"] if before > 0 else []
        lines += self._said[-_LINES:] + [row.line() for row in self._rows if row.shown]
        content = {"text/plain": "\n".join(lines)}
        if self._place is None:
            display = import_module("IPython.display").display
            self._place = display(content, raw=True, display_id=True)
        else:
            self._place.update(content, raw=True)

    def _begin(self) -> None:
        """Begin anew in each cell."""
        cell = _shell().execution_count
        if cell != self._cell:
            self._cell, self._place, self._said = cell, None, []


class _Row(Counted):
    """A task's line: what, a bar where the total is known, how fast, how long still."""

    def __init__(self, notebook: Notebook, what: str, unit: str, total: int | None) -> None:
        super().__init__(what, unit, total)
        self._notebook = notebook

    def show(self) -> None:
        self._notebook.draw()

    def close(self) -> None:
        self._notebook.ended(self)

    def line(self) -> str:
        """Return the line."""
        if not self.total:
            return f"{self.what}  {self.done:,} {self.unit}  {self.speed}"
        share = min(self.done / self.total, 1.0)
        full = round(share * _WIDTH)
        left = (self.total - self.done) / self.rate if self.rate else 0.0
        bar = "\N{FULL BLOCK}" * full + "\N{LIGHT SHADE}" * (_WIDTH - full)
        return f"{self.what}  {bar} {share:4.0%}  {self.speed}  {duration(max(left, 0))} left"


def in_notebook() -> bool:
    """Tell whether this process is a notebook's kernel."""
    return getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:
    """Return what runs the cells; None where IPython has not been loaded, or runs none."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()

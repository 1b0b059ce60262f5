"""Progress, said to whoever listens.

Long work wraps its items in `track`, and says a line of human text with `say`; neither knows what
it looks like. The command line installs a `Display` (a bar on a terminal, quiet lines elsewhere);
without one, as in a library, both are silent. What a caller would take for a hang, `announce` says
on stderr in any case.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Task(Protocol):
    """One piece of work on display."""

    def advance(self, count: int = 1) -> None:
        """Note that `count` more units are done."""

    def close(self) -> None:
        """Note that the work has ended, finished or not."""


class Display(Protocol):
    """Something that shows progress; installed with `use`."""

    def task(self, what: str, unit: str, total: int | None) -> Task:
        """Begin a piece of work: "checking images", in "images", so many of them if known."""

    def say(self, text: str) -> None:
        """Show one line of human text."""


class _Silent:
    def task(self, what: str, unit: str, total: int | None) -> Task:
        return self

    def advance(self, count: int = 1) -> None: ...

    def close(self) -> None: ...

    def say(self, text: str) -> None: ...


_display: Display = _Silent()


@contextmanager
def use(display: Display) -> Iterator[None]:
    """Show the progress of everything inside the block on `display`."""
    global _display
    before, _display = _display, display
    try:
        yield
    finally:
        _display = before


class _Unsaid(_Silent):
    def __init__(self, inner: Display) -> None:
        self.task = inner.task  # type: ignore[method-assign]


@contextmanager
def unsaid() -> Iterator[None]:
    """Say nothing inside the block; bars are shown as ever."""
    with use(_Unsaid(_display)):
        yield


def track(
    items: Iterable[T],
    what: str,
    unit: str,
    total: int | None = None,
    size: Callable[[T], int] | None = None,
) -> Iterator[T]:
    """Yield the items, and tell the display as each is done.

    Args:
        items: what to go through.
        what: the work, as a reader would say it ("checking images").
        unit: what an item is called, in the plural ("images").
        total: how many units there are, where that is not the length of `items`.
        size: how many units an item counts for (a batch, for its images); 1 unless given.

    Example:
        >>> sum(track([1, 2, 3], "adding", "numbers"))
        6
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    task = _display.task(what, unit, total)
    try:
        for item in items:
            yield item
            task.advance(1 if size is None else size(item))
    finally:
        task.close()


def say(text: str) -> None:
    """Show one line of human text, where somebody listens."""
    _display.say(text)


def announce(text: str) -> None:
    """Show one line of human text; on stderr where nobody listens."""
    if type(_display) is _Silent:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one line that a library says
    else:
        _display.say(text)

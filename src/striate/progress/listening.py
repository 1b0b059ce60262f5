"""Saying progress to the display in use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from functools import cache
from typing import Final, TypeVar

from striate.progress.display import Display, Silent
from striate.progress.notebook import Notebook, in_notebook

T = TypeVar("T")

_NOBODY: Final = Silent()
_display: Display = _NOBODY
_said: set[str] = set()  # once, on the display in use


@contextmanager
def use(display: Display) -> Iterator[None]:
    """Show the progress of everything inside the block on `display`."""
    global _display, _said
    before, _display, _said = (_display, _said), display, set()
    try:
        yield
    finally:
        _display, _said = before


class _Unsaid(Silent):
    def __init__(self, inner: Display) -> None:
        self.task = inner.task  # type: ignore[method-assign]


@contextmanager
def unsaid() -> Iterator[None]:
    """Say nothing inside the block; bars are shown as ever."""
    with use(_Unsaid(_listener())):
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
    task = _listener().task(what, unit, total)
    try:
        for item in items:
            yield item
            task.advance(1 if size is None else size(item))
    finally:
        task.close()


def say(text: str) -> None:
    """Show one line of human text, where somebody listens."""
    _listener().say(text)


def say_once(text: str) -> None:
    """Show one line of human text, unless the display in use has been shown it before."""
    if _display is not _NOBODY:
        if text in _said:
            return
        _said.add(text)
    say(text)


def announce(text: str) -> None:
    """Show one line of human text; on stderr where nobody listens."""
    listener = _listener()
    if listener is _NOBODY:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one line that a library says
    else:
        listener.say(text)


def _listener() -> Display:
    """Return the display that was installed, or else the notebook's, where this is one."""
    if _display is _NOBODY and in_notebook():
        return _notebook()
    return _display


@cache
def _notebook() -> Notebook:
    return Notebook()

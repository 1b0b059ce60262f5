"""What a display is, the one that shows nothing, and how a task on any of them counts."""

from __future__ import annotations

import time
from typing import Protocol

AFTER = 0.4  # seconds of work before a task is shown: most are over by then
REFRESH = 0.1  # seconds between two looks at one


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


class Silent:
    """The display of a process that does not speak."""

    def task(self, what: str, unit: str, total: int | None) -> Task:
        """Begin a piece of work that nobody sees."""
        return self

    def advance(self, count: int = 1) -> None:
        """Note nothing."""

    def close(self) -> None:
        """Note nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""


class Counted:
    """A task that counts in Python integers, and is shown when it turns out to take a while.

    Args:
        what, unit, total: as of `Display.task`.

    Attributes:
        done: units so far.
        shown: whether it has been.
    """

    def __init__(self, what: str, unit: str, total: int | None) -> None:
        self.what, self.unit, self.total = what, unit, total
        self.done, self.shown = 0, False
        self._begun = self._seen = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Note that `count` more units are done; show it, ten times a second at most."""
        self.done += count
        now = time.monotonic()
        if now - self._seen >= (REFRESH if self.shown else AFTER):
            self._seen, self.shown = now, True
            self.show()

    def show(self) -> None:
        """Show how far it is."""
        raise NotImplementedError("left to each way of showing")

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.done / max(self._seen - self._begun, 1e-9)

    @property
    def speed(self) -> str:
        """The rate in words."""
        rate = self.rate
        return f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s"

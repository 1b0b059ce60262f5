"""On a terminal: bars, drawn by rich, which is imported when the first is due. Off it: lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from striate.progress.display import Counted, Silent, Task
from striate.wording import spelled

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Lines(Silent):
    """Off a terminal (a log, CI): only what is said, a line each, and no bars."""

    def say(self, text: str) -> None:
        """Print a line to stderr."""
        write(sys.stderr, text)


class Bars:
    """On a terminal: a bar a task with throughput and time left, lines said above them."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._open = 0

    def task(self, what: str, unit: str, total: int | None) -> Task:
        """Begin a task, whose bar appears when it turns out to take a while."""
        self._open += 1
        return _Bar(self, what, unit, total)

    def say(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        if self._progress is None:
            write(sys.stderr, text)
        else:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def live(self) -> Progress:
        """Return rich's display, drawn on stderr; started at its first use."""
        if self._progress is None:
            self._progress = _progress()
            self._progress.start()
        return self._progress

    def closed(self, bar: TaskID | None) -> None:
        """Take a bar away, and with the last task the whole display."""
        self._open -= 1
        if self._progress is not None and bar is not None:
            self._progress.remove_task(bar)
        if self._progress is not None and self._open == 0:
            self._progress.stop()
            self._progress = None


class _Bar(Counted):
    """A task's bar; rich is troubled ten times a second at most."""

    def __init__(self, bars: Bars, what: str, unit: str, total: int | None) -> None:
        super().__init__(what, unit, total)
        self._bars = bars
        self._bar: TaskID | None = None
        self._closed = False

    def show(self) -> None:
        live = self._bars.live()
        if self._bar is None:
            self._bar = live.add_task(self.what, total=self.total, speed=self.speed)
        live.update(self._bar, completed=self.done, speed=self.speed)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._bars.closed(self._bar)


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[speed]}", markup=False),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=Console(stderr=True),
        refresh_per_second=10,
        transient=True,
        expand=True,
    )


def write(stream: TextIO, text: str) -> None:
    """Print a text, spelled out where the stream has no place for its characters."""
    try:
        print(text, file=stream, flush=True)  # noqa: T201
    except UnicodeEncodeError:  # a terminal that is not UTF-8, or a file name
        encoding = stream.encoding or "ascii"
        text = spelled(text)
        print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)  # noqa: T201

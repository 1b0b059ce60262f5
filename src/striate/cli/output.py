"""What a command lets the world see: its result, its progress, its errors and its exit code.

Results go to stdout, as text or (`--json`) as exactly one JSON document; everything said on the way
goes to stderr. An error is a document too: `{"error": {"kind", "message"}}`. rich draws the bar and
nothing else, and is imported when the first bar is due: its tables would cost every command 0.3 s.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from striate.progress import Display, Task
from striate.wording import count as count
from striate.wording import spelled

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DONE, FAILED_VERDICT, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

_BAR_AFTER = 0.4  # seconds of work before a bar appears: most tasks are over by then
_REFRESH = 0.1  # seconds between updates of a bar


def show(document: Any, text: str, as_json: bool) -> None:
    """Print a result: JSON on stdout and text on stderr, or only the text on stdout.

    Args:
        document: a record, or plain dicts and lists.
        text: the same for a reader; nothing is printed when it is empty.
        as_json: whether `--json` was given.
    """
    if not first_process():
        return
    if as_json:
        from striate.records import to_json

        _write(sys.stdout, to_json(document).decode())
    if text:
        _write(sys.stderr if as_json else sys.stdout, text)


def show_error(kind: str, message: str, as_json: bool, table: str = "") -> None:
    """Print one sentence on stderr and, under `--json`, the same as a document on stdout.

    Args:
        kind: name of the exception.
        message: what happened and what to do; an indented block below it (the text with a caret)
            is printed as it stands.
        as_json: whether `--json` was given.
        table: what stands above the sentence: a network up to the layer at fault.
    """
    said, _, block = message.partition("\n    ")
    sentence = spelled(" ".join(said.split()))
    if table and first_process():
        _write(sys.stderr, table)
    if as_json and first_process():
        import json

        document = {"error": {"kind": kind, "message": sentence}}
        _write(sys.stdout, json.dumps(document, ensure_ascii=False))
    rank = os.environ.get("RANK", "0")
    _write(sys.stderr, f"striate{'' if rank == '0' else f' (process {rank})'}: {sentence}")
    if block and first_process():
        _write(sys.stderr, f"    {block}")


def first_process() -> bool:
    """Tell whether this is the only process, or the one of several that speaks."""
    return os.environ.get("RANK", "0") == "0"


def _write(stream: TextIO, text: str) -> None:
    try:
        print(text, file=stream, flush=True)  # noqa: T201
    except UnicodeEncodeError:  # a terminal that is not UTF-8, or a file name
        encoding = stream.encoding or "ascii"
        text = spelled(text)
        print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)  # noqa: T201


# -- text ------------------------------------------------------------------------------------------


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


def clip(text: str) -> str:
    """Cut lines to the terminal's width, where there is one, so that a table stays a table."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(
        line if len(line) <= width else f"{line[: width - 3]}..." for line in text.splitlines()
    )


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


def percent(share: float, digits: int = 2) -> str:
    """Spell a share as a percentage: 0.9931 -> 99.31%."""
    return f"{100 * share:.{digits}f}%"


def duration(seconds: float) -> str:
    """Spell a time: 9.31 -> 9.3 s, 75 -> 1 min 15 s, 5400 -> 1 h 30 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


# -- progress --------------------------------------------------------------------------------------


def display() -> Display:
    """Return a bar where stderr is a terminal, and quiet lines everywhere else."""
    if not first_process():
        return _Nothing()
    live = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    return Bars() if live else Lines()


class _Nothing:
    """The display of a process that does not speak."""

    def task(self, what: str, unit: str, total: int | None) -> Task:
        return self

    def advance(self, count: int = 1) -> None: ...

    def close(self) -> None: ...

    def say(self, text: str) -> None: ...


class Lines(_Nothing):
    """Off a terminal (a log, a notebook, CI): only what is said, a line each, and no bars."""

    def say(self, text: str) -> None:
        """Print a line to stderr."""
        _write(sys.stderr, text)


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
            _write(sys.stderr, text)
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


class _Bar:
    """One task; counts in Python integers and troubles rich ten times a second at most."""

    def __init__(self, bars: Bars, what: str, unit: str, total: int | None) -> None:
        self._bars, self._what, self._unit, self._total = bars, what, unit, total
        self._begun = self._shown = time.monotonic()
        self._done = 0
        self._bar: TaskID | None = None
        self._closed = False

    def advance(self, count: int = 1) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._shown < (_REFRESH if self._bar is not None else _BAR_AFTER):
            return
        self._shown = now
        speed = _speed(self._done / max(now - self._begun, 1e-9), self._unit)
        if self._bar is None:
            self._bar = self._bars.live().add_task(self._what, total=self._total, speed=speed)
        self._bars.live().update(self._bar, completed=self._done, speed=speed)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._bars.closed(self._bar)


def _speed(rate: float, unit: str) -> str:
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.2g} {unit}/s"


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

"""What a command lets the world see: its result, its progress, its errors and its exit code.

Results go to stdout, as text or (`--json`) as exactly one JSON document; everything said on the way
goes to stderr. An error is a document too: `{"error": {"kind", "message"}}`. Tables are our own
(`wording.table`): rich's would cost every command 0.3 s.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

from striate.progress import Display, Silent
from striate.progress.terminal import Bars, Lines, write
from striate.wording import count as count
from striate.wording import duration as duration
from striate.wording import spelled
from striate.wording import table as table

DONE, FAILED_VERDICT, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


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

        write(sys.stdout, to_json(document).decode())
    if text:
        write(sys.stderr if as_json else sys.stdout, text)


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
        write(sys.stderr, table)
    if as_json and first_process():
        import json

        document = {"error": {"kind": kind, "message": sentence}}
        write(sys.stdout, json.dumps(document, ensure_ascii=False))
    rank = os.environ.get("RANK", "0")
    write(sys.stderr, f"striate{'' if rank == '0' else f' (process {rank})'}: {sentence}")
    if block and first_process():
        write(sys.stderr, f"    {block}")


def first_process() -> bool:
    """Tell whether this is the only process, or the one of several that speaks."""
    return os.environ.get("RANK", "0") == "0"


# -- text ------------------------------------------------------------------------------------------


def clip(text: str) -> str:
    """Cut lines to the terminal's width, where there is one, so that a table stays a table."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(
        line if len(line) <= width else f"{line[: width - 3]}..." for line in text.splitlines()
    )


def percent(share: float, digits: int = 2) -> str:
    """Spell a share as a percentage: 0.9931 -> 99.31%."""
    return f"{100 * share:.{digits}f}%"


# -- progress --------------------------------------------------------------------------------------


def display() -> Display:
    """Return a bar where stderr is a terminal, and quiet lines everywhere else.

    A notebook gives `!striate ...` a terminal, and keeps whatever was drawn on it.
    """
    if not first_process():
        return Silent()
    draws = os.environ.get("TERM", "") not in ("dumb", "unknown")
    notebook = "JPY_PARENT_PID" in os.environ
    return Bars() if sys.stderr.isatty() and draws and not notebook else Lines()

"""The log: one JSON object a line on stderr, and never an image in it.

An entry has time, level and event; a request's has its id, path, status, bytes, images and
milliseconds. A traceback, which only a bug of ours leaves, is one field of one line.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

_LEVELS = {"info": 0, "warning": 1, "error": 2}


class Journal:
    """Writes entries.

    Args:
        quiet: leave out what is of level info.
        stream: where to; stderr unless given.
        also: fields that every entry has.
    """

    def __init__(
        self, quiet: bool = False, stream: TextIO | None = None, also: dict[str, Any] | None = None
    ) -> None:
        self._least, self._stream, self._also = int(quiet), stream or sys.stderr, also or {}

    def __call__(self, event: str, level: str = "info", **fields: Any) -> None:
        """Write one entry."""
        if _LEVELS[level] < self._least:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": now, "level": level, "event": event, **self._also, **fields}
        try:
            self._stream.write(json.dumps(entry, ensure_ascii=True) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more: serving goes on
            return

    def bug(self, error: BaseException, **fields: Any) -> None:
        """Write down an error that should not be."""
        trace = "".join(traceback.format_exception(error))
        self("bug", "error", error=repr(error), traceback=trace, **fields)

    def take_over(self) -> None:
        """Take what the libraries below log, from warnings on."""
        for name in ("uvicorn.error", "asyncio", "python_multipart"):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [_Handler(self)], False
            logger.setLevel(logging.WARNING if name == "uvicorn.error" else logging.ERROR)


class _Handler(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._journal.bug(record.exc_info[1], message=record.getMessage())
            return
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._journal("http", level, message=record.getMessage())

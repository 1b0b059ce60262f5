"""The history of a run: one JSON object a line, only ever appended to.

A crash can cut the last line, and a resume repeats the steps after its checkpoint. Neither is
mended in place: readers skip what is no JSON object, and a line
`{"kind": "event", "event": "resumed", "step": S}` says that earlier lines beyond step S no longer
count.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from striate.files import reporting
from striate.records import to_builtins, to_json

_FLUSH_SECONDS = 1.0


class History:
    """The reader and the writer of one history.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._flushed = 0.0

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line, which reaches the file within a second of the next one at the latest.

        `time` (Unix, in seconds) is added where it is missing; NaN and infinity become null, since
        JSON has neither.
        """
        line = to_json(_finite(to_builtins({"time": round(time.time(), 3), **entry})))
        with reporting(self.path):
            file = self._file or self._open()
            file.write(line + b"\n")
            if time.monotonic() - self._flushed > _FLUSH_SECONDS:
                file.flush()
                self._flushed = time.monotonic()

    def sync(self) -> None:
        """Force every line to disk."""
        if self._file is not None:
            with reporting(self.path):
                self._file.flush()
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what is buffered and let go of the file; a later append opens it again."""
        if self._file is not None:
            file, self._file = self._file, None
            with reporting(self.path):
                file.close()

    def read(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the lines that count, in order, all or those of one kind."""
        if self._file is not None:
            self._file.flush()
        lines: list[dict[str, Any]] = []
        for line in self.path.read_bytes().splitlines() if self.path.exists() else ():
            entry = _parse(line)
            if entry is None:
                continue
            if entry.get("kind") == "event" and entry.get("event") == "resumed":
                lines = [each for each in lines if each.get("step", 0) <= entry.get("step", 0)]
            lines.append(entry)
        return [each for each in lines if kind is None or each.get("kind") == kind]

    def _open(self) -> BinaryIO:
        self._file = open(self.path, "ab")
        if self._file.tell():
            with open(self.path, "rb") as before:
                before.seek(-1, os.SEEK_END)
                if before.read() != b"\n":  # cut by a crash: it stays a line of its own
                    self._file.write(b"\n")
        return self._file


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return entry if isinstance(entry, dict) else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

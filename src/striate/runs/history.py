"""The history of a run: one JSON object a line, only ever appended to.

A crash can cut the last line, and a resume repeats the steps after its checkpoint. Neither is
mended in place: readers skip what is no JSON object or lacks what its kind always has, and a line
`{"kind": "event", "event": "resumed", "step": S}` says that earlier lines beyond step S no longer
count.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from striate.files import reporting
from striate.records import to_builtins, to_json

_SECONDS = 1.0
_NUMBERS = {"step": ("step",), "validation": ("step", "epoch", "accuracy"), "probe": ("step",)}
_NUMBERS_OR_NULL = ("loss", "rate", "gradient_norm")


class History:
    """The reader and the writer of one history.jsonl; the file is open only while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[bytes] = []
        self._written = 0.0

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line; the first one after a second has passed takes those waiting to the file.

        `time` (Unix, in seconds) is added where it is missing; NaN and infinity become null, since
        JSON has neither.
        """
        entry = {"time": round(time.time(), 3), **entry}
        self._waiting.append(to_json(_finite(to_builtins(entry))) + b"\n")
        if time.monotonic() - self._written > _SECONDS:
            self.write()

    def write(self, *, to_disk: bool = False) -> None:
        """Write the lines that wait, and wait until the disk has them if told to."""
        lines, self._waiting = self._waiting, []
        with reporting(self.path), open(self.path, "ab+") as file:
            if lines and _cut(file):
                file.write(b"\n")  # so that what a crash has cut stays a line of its own
            file.writelines(lines)
            file.flush()
            if to_disk:
                os.fsync(file.fileno())
        self._written = time.monotonic()

    def read(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the lines that count, in order, all or those of one kind."""
        if self._waiting:
            self.write()
        lines: list[dict[str, Any]] = []
        telling = (b'"resumed"', b"" if kind is None else f'"{kind}"'.encode())
        for line in self.path.read_bytes().splitlines() if self.path.exists() else ():
            if not any(word in line for word in telling):
                continue  # of another kind: not worth decoding
            entry = _parse(line)
            if entry is None:
                continue
            if entry.get("kind") == "event" and entry.get("event") == "resumed":
                lines = [each for each in lines if each.get("step", 0) <= entry.get("step", 0)]
            lines.append(entry)
        return [each for each in lines if kind is None or each.get("kind") == kind]


def _cut(file: BinaryIO) -> bool:
    """Say whether a file's last line lacks its end."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        entry = _lenient(line)
    return entry if isinstance(entry, dict) and _whole(entry) else None


def _lenient(line: bytes) -> Any:
    """Return a line that others have written with NaN or Infinity in it; None for no JSON."""
    if b"NaN" not in line and b"Infinity" not in line:
        return None
    try:
        return _finite(json.loads(line))
    except ValueError:
        return None


def _whole(entry: Mapping[str, Any]) -> bool:
    """Say whether a line has what readers take for granted of its kind."""
    kind = entry.get("kind")
    known = kind != "event" or isinstance(entry.get("event"), str)
    given = [entry.get(name) for name in _NUMBERS.get(str(kind), ())]
    free = [entry[name] for name in _NUMBERS_OR_NULL if entry.get(name) is not None]
    return known and all(isinstance(each, int | float) for each in (*given, *free))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

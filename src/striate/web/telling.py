"""What the page tells of runs: a line each, the whole of one, and its history as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from striate import runs
from striate.design import Network
from striate.errors import StriateError
from striate.records import from_json
from striate.web.folder import reading
from striate.web.shelf import Shelf, open_place

if TYPE_CHECKING:
    from striate.inference import Model

_DOCUMENTS = ("run.json", "network.json", "contract.json", "recipe.json", "history.jsonl",
              "results.json", "bundle.json")  # fmt: skip
_MOVING = ("running", "crashed")  # states that change with nothing but the lock
_PAUSE = 0.4  # seconds between two looks at a history
_CHUNK = 1 << 22  # bytes of it that are read at a time
_KEPT = ("kind", "step", "epoch", "loss", "rate", "gradient_norm", "accuracy", "best", "event",
         "text", "seconds", "robust", "time")  # fmt: skip


def everyone(shelf: Shelf) -> list[dict[str, Any]]:
    """Return a line for each run; one that cannot be read says why."""
    told = []
    for name, path in shelf.found().items():
        stamp = _stamp(path)
        known, line = shelf.lines.get(name, (None, {}))
        if known != stamp:
            line = _line(name, path)
        if line["state"] not in _MOVING:
            shelf.lines[name] = stamp, line
        told.append(line)
    return told


def _line(name: str, path: Path) -> dict[str, Any]:
    try:
        with reading(name):
            return {"name": name, **summary(open_place(path))}
    except StriateError as error:
        return {"name": name, "state": "unreadable", "error": str(error)}


def _stamp(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return the time and size of everything that a run's line is made of."""
    found: list[tuple[int, int] | None] = []
    for each in (path, *(path / name for name in _DOCUMENTS)):
        try:
            status = each.stat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def summary(model: Model) -> dict[str, Any]:
    """Return what a list says of a run."""
    contract = model.contract()
    found: dict[str, Any] = {
        **_network(model),
        "classes": len(contract.classes),
        "channels": contract.channels,
        "size": contract.size,
        "state": "weights",
    }
    if not isinstance(model, runs.Run):
        return found
    recipe = model.recipe_document()
    validations = model.history("validation")
    test = (model.results() or {}).get("test")
    return found | {
        "state": model.state,
        "created": model.info.created,
        "parent": model.info.parent,
        "data": recipe["data"]["path"],
        "recipe": recipe["name"],
        "epochs": recipe["epochs"],
        "epoch": validations[-1]["epoch"] if validations else 0,
        "validation": max((each["accuracy"] for each in validations), default=None),
        "test": None if test is None else {key: test[key] for key in ("accuracy", "loss", "n")},
        "curve": [each["accuracy"] for each in validations],
    }


def _network(model: Model) -> dict[str, Any]:
    if isinstance(model, runs.Run):
        return _counted((model.path / "network.json").read_bytes())
    return _count(model.network())


@lru_cache(64)
def _counted(document: bytes) -> dict[str, Any]:
    """Count a network by its document: runs of one network are many."""
    return _count(from_json(Network, document, "network.json"))


def _count(network: Network) -> dict[str, Any]:
    return {
        "network": network.name,
        "parameters": network.parameter_count(),
        "macs": network.macs(),
    }


def whole(model: Model) -> dict[str, Any]:
    """Return all of a run that the page shows: classes, settings, figures, mistakes."""
    contract = model.contract()
    document = summary(model) | {
        "labels": [each.label for each in contract.classes],
        "ids": [each.id for each in contract.classes],
    }
    if not isinstance(model, runs.Run):
        return document
    results = model.results() or {}
    recipe = {key: value for key, value in model.recipe_document().items() if key != "network"}
    return document | {"results": results.get("test"), "settings": recipe}


async def events(path: Path, lasting: Collection[str]) -> AsyncIterator[bytes]:
    """Yield a run's history as server-sent events: what there is, then what comes.

    Each event is `{"lines": [...], "state": ...}`; the stream lasts while the run is in one of some
    states.
    """
    place, rest, state = 0, b"", ""
    while True:
        content = await asyncio.to_thread(_read, path / "history.jsonl", place)
        place += len(content)
        *whole_lines, rest = (rest + content).split(b"\n")
        lines = [line for each in whole_lines if (line := _slim(each)) is not None]
        now = await asyncio.to_thread(_state, path)
        if lines or now != state:
            state = now
            yield b"data: " + msgspec.json.encode({"lines": lines, "state": state}) + b"\n\n"
        elif not content and state not in lasting:
            yield b"event: end\ndata: {}\n\n"
            return
        if len(content) < _CHUNK:
            await asyncio.sleep(_PAUSE)


def _read(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(_CHUNK)
    except OSError:
        return b""


def _state(path: Path) -> str:
    try:
        return runs.open(path).state
    except StriateError:
        return "unreadable"


def _slim(line: bytes) -> dict[str, Any] | None:
    """Return what the page draws of a line of the history, None where that is nothing."""
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(entry, dict) or entry.get("kind") not in ("step", "validation", "event"):
        return None
    return {key: entry[key] for key in _KEPT if key in entry}

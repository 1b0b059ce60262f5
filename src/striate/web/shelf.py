"""What the page shows: the runs below some folders, opened networks, and pictures dropped on it.

A run is asked for by its name here, never by a path, and a name is looked up among what was found:
no request can reach another file. Networks stay open by last use, within a bound of memory.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from striate import runs
from striate.errors import DataError, RunError
from striate.serve.refusal import Refusal

if TYPE_CHECKING:
    from striate.inference import Model
    from striate.web.opened import Opened

T = TypeVar("T")

_DEEP = 3  # folders below RUNS that are looked through
_MOST_NETS = 4
_MOST_BYTES = 1 << 30  # of open networks
_MOST_PICTURES = 48 << 20  # bytes of files dropped on the page
_MOST_KEPT = 64  # results that took long


class Shelf:
    """Runs by name, and what has been opened of them.

    Args:
        places: run folders, folders that have runs below them, bundles or published weights.

    Raises:
        RunError: a place that is none of them.
    """

    def __init__(self, places: Sequence[Path | str]) -> None:
        self.places = [Path(each) for each in places]
        for place in self.places:
            if not place.is_dir():
                open_place(place)  # says what is wrong with it
        self.lines: dict[str, tuple[Hashable, dict[str, Any]]] = {}  # of the list, as last told
        self._lock = threading.RLock()
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    @property
    def root(self) -> Path | None:
        """The first folder that new runs may go to."""
        own = (each for each in self.places if each.is_dir() and not _is_model(each))
        return next(own, None)

    def found(self) -> dict[str, Path]:
        """Return every run by its name here, newest first."""
        paths: dict[str, Path] = {}
        for place in self.places:
            below = [place] if _is_model(place) else list(_below(place, _DEEP))
            for path in below:
                name = path.name if path == place else path.relative_to(place).as_posix()
                name = name.replace("/", "~")
                while name in paths and paths[name] != path:
                    name += "+"
                paths[name] = path
        return dict(sorted(paths.items(), key=lambda item: -_time(item[1])))

    def path(self, name: str) -> Path:
        """Return where a run is.

        Raises:
            Refusal: 404, there is none of that name.
        """
        found = self.found()
        if name not in found:
            raise Refusal(404, f"There is no run {name[:100]!r} here.")
        return found[name]

    def model(self, name: str) -> Model:
        """Open a run's documents, without its weights."""
        return open_place(self.path(name))

    def run(self, name: str) -> runs.Run:
        """Open a run's documents.

        Raises:
            Refusal: 404, it is no run but weights, which have no history.
        """
        model = self.model(name)
        if not isinstance(model, runs.Run):
            raise Refusal(404, f"{name} is no run: it has weights, but no history.")
        return model

    def open(self, name: str) -> Opened:
        """Return a run's network with the newest weights it has, ready to be looked into.

        Raises:
            RunError: it has no weights yet.
        """
        path = self.path(name)
        with self._lock:
            held = self._open.get(name)
            if held is not None and held.is_current():
                self._open.move_to_end(name)
                return held
        from striate.web.opened import Opened

        fresh = Opened(name, open_place(path), held)
        with self._lock:
            self._open[name] = fresh
            self._open.move_to_end(name)
            while len(self._open) > 1 and (
                len(self._open) > _MOST_NETS
                or sum(each.bytes for each in self._open.values()) > _MOST_BYTES
            ):
                self._open.popitem(last=False)
        return fresh

    # -- pictures

    def put_picture(self, content: bytes) -> str:
        """Keep a file that was dropped on the page, the oldest ones making room."""
        key = hashlib.sha256(content).hexdigest()[:24]
        with self._lock:
            self._pictures[key] = content
            self._pictures.move_to_end(key)
            while sum(map(len, self._pictures.values())) > _MOST_PICTURES:
                self._pictures.popitem(last=False)
        return key

    def picture(self, key: str) -> bytes:
        """Return a file that was dropped on the page.

        Raises:
            Refusal: 404, it is not here (any more).
        """
        with self._lock:
            if key not in self._pictures:
                raise Refusal(404, "That picture is not here any more: drop it again.")
            self._pictures.move_to_end(key)
            return self._pictures[key]

    # -- results

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was found before under a key, else find it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key]
                return found
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return made


def open_place(path: Path) -> Model:
    """Open a run's documents, a bundle's, or weights; torch is needed for the last only."""
    if runs.is_bundle(path):
        return runs.open_bundle(path)
    if (path / "run.json").is_file():
        return runs.open(path)
    from striate import inference

    return inference.open_model(path)


def _is_model(path: Path) -> bool:
    marks = ("run.json", "bundle.json", "model.json")
    return not path.is_dir() or any((path / mark).is_file() for mark in marks)


def _below(folder: Path, deep: int) -> list[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda each: each.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error
    found = []
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False) or entry.name.startswith("."):
            continue
        path = Path(entry.path)
        if (path / "run.json").is_file() or (path / "bundle.json").is_file():
            found.append(path)
        elif deep > 1:
            try:
                found += _below(path, deep - 1)
            except DataError:
                continue
    return found


def _time(path: Path) -> float:
    for name in ("history.jsonl", "run.json", "bundle.json"):
        try:
            return (path / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def check_places(places: Sequence[Path]) -> None:
    """Refuse places that are not there.

    Raises:
        RunError: names it.
    """
    for place in places:
        if not place.exists():
            raise RunError(f"There is no folder {place}: train a network, or name where runs are.")

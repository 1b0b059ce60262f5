"""Trainings that the page started: one at a time, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from striate import runs
from striate.errors import StriateError, UsageError
from striate.files import Lock
from striate.records import Record, to_json
from striate.serve.refusal import Refusal
from striate.web import paper
from striate.web.folder import reading
from striate.web.shelf import Shelf

_SAID = 2000  # characters of what a failed process wrote
_PATIENCE = 15.0  # seconds for a process to save and end

# Windows interrupts only processes in a group of their own, by another key of the console.
_INTERRUPT = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_ENDED = (0, -signal.SIGINT, 0xC000013A)  # well, or by the interrupt; the last is Windows' word


class Task(Record, frozen=True, kw_only=True):
    """What the page wants of a training.

    Args:
        run: the folder, new or there already.
        resume: go on with it.
        data: what to train on.
        network: a name, notation, or auto.
        settings: changes of the recipe.
    """

    run: str
    resume: bool = False
    data: str = "digits"
    network: str = "auto"
    settings: tuple[str, ...] = ()


class School:
    """The one training under way, if there is one.

    Args:
        shelf: where new runs go, and which there are.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._path: Path | None = None
        self._paused = False
        self._said: IO[bytes] | None = None

    def status(self) -> dict[str, Any]:
        """Return which run is being trained here, or how the last one ended."""
        process = self._process
        if process is None or self._path is None:
            return {"run": None, "busy": False, "error": None}
        code = process.poll()
        said = self._words() if code not in (None, *_ENDED) else None
        name = next((n for n, p in self.shelf.found().items() if p == self._path), None)
        return {"run": name, "folder": self._path.name, "busy": code is None, "error": said}

    def choices(self) -> dict[str, Any]:
        """Return what can be trained on: the digits, sets that are on this machine, runs' data."""
        found = dict.fromkeys(("digits", *_here()))
        for path in list(self.shelf.found().values())[:200]:
            with suppress(StriateError), reading(path.name):
                found[runs.open(path).recipe_document()["data"]["path"]] = None
        return {"data": list(found), "possible": self.shelf.root is not None}

    def start(self, chosen: str, network: str, settings: tuple[str, ...]) -> dict[str, Any]:
        """Start a training.

        Raises:
            Refusal: 409, one is under way; 422, data that is not offered.
            StriateError: no such network.
        """
        root = self.shelf.root
        if root is None:
            raise Refusal(409, "There is no folder for new runs: start with striate view FOLDER.")
        if chosen not in self.choices()["data"]:
            raise Refusal(422, f"Expected one of the data sets offered, received {chosen[:80]!r}.")
        word = "auto"
        if network.strip() not in ("", "auto"):
            word = paper.read(network).name
            word = "net" if word == "notation" else word
        path = runs.new_path(root, f"{Path(chosen).name}-{word}")
        task = Task(
            run=str(path), data=chosen, network=network.strip() or "auto", settings=settings
        )
        return self._begin(path, task)

    def resume(self, name: str, rate: float | None) -> dict[str, Any]:
        """Go on with a run; with another learning rate that is a fork of it, a run of its own.

        Raises:
            Refusal: 409, one is under way.
            StriateError: it cannot be gone on with.
        """
        run = self.shelf.run(name)
        self._check_free()
        path = run.path
        if rate is not None and rate != run.recipe_document()["optimiser"]["rate"]:
            base = run.path.name.rpartition("-")[0] or run.path.name
            path = runs.new_path(run.path.parent, base)
            from striate.train.fork import fork

            fork(run, path, (f"optimiser.rate={rate}",))
        return self._begin(path, Task(run=str(path), resume=True))

    def pause(self) -> dict[str, Any]:
        """Let the training save and end; `resume` goes on with it bit for bit."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(_INTERRUPT)
                self._paused = True
        return self.status()

    def close(self) -> None:
        """Let the training save and end, and wait for it."""
        self.pause()
        if self._process is not None:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._said is not None:
            self._said.close()
            self._said, self._process = None, None

    def _check_free(self) -> None:
        """Refuse a second training; wait for one that was paused, which has saved but not ended."""
        process = self._process
        if process is not None and self._paused:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        if process is not None and process.poll() is None:
            raise Refusal(409, "A training is under way: pause it first.")

    def _begin(self, path: Path, task: Task) -> dict[str, Any]:
        with self._lock:
            self._check_free()
            if path.exists() and Lock.held(path / "lock"):
                raise UsageError(f"{path.name} is being trained by another process.")
            if self._said is not None:
                self._said.close()
            self._said = tempfile.TemporaryFile()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "striate.web.pupil"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,
                creationflags=_OWN_GROUP,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            self._path, self._paused = path, False
            if self._process.stdin is not None:
                self._process.stdin.write(to_json(task))
                self._process.stdin.close()
        return self.status()

    def _words(self) -> str:
        if self._said is None:
            return ""
        self._said.seek(0)
        words = self._said.read().decode(errors="replace").strip()
        last = words.splitlines()[-1] if words else "The training ended without a word."
        return last[-_SAID:]


def _here() -> list[str]:
    """Return the named sets that are on this machine, so that nothing has to be downloaded."""
    from striate.data.named import NAMES

    folder = os.environ.get("STRIATE_DATA")
    if not folder:
        return []
    return [name for name in NAMES if (Path(folder) / name).exists()]

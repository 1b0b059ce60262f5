"""Several processes with one copy of the weights, and one that watches over them.

The watcher makes the network and forks: what it made is shared until somebody writes to it, which
nobody does. A worker that dies is replaced; when the watcher is killed, its workers see the end of
a pipe and stop by themselves.
"""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any

from striate.errors import StriateError
from striate.serve.journal import Journal

Work = Callable[[int, int | None], None]

_OFTEN = 0.02  # seconds between two looks at workers that are starting
_SOON = 1.0  # seconds: a worker that lives shorter is replaced only after as long


class Crew:
    """Worker processes.

    Args:
        count: of them.
        work: what each does: given its place, and a pipe that ends with the watcher.
        journal: where deaths are noted.
    """

    def __init__(self, count: int, work: Work, journal: Journal) -> None:
        self._work, self._journal = work, journal
        self._places: dict[int, int] = {}
        self._born: dict[int, float] = {}
        self._stopping = False
        self._open, self._kept = os.pipe()
        self._count = count

    def run(self, ready: Callable[[], bool], announce: Callable[[], None]) -> None:
        """Keep the workers going until asked to stop.

        Args:
            ready: whether one of them can answer.
            announce: called once one can.

        Raises:
            StriateError: a worker cannot start.
        """
        kinds = (signal.SIGTERM, signal.SIGINT)
        before = {kind: signal.signal(kind, self._stop) for kind in kinds}
        try:
            for place in range(self._count):
                self._fork(place)
            while self._places and not ready():
                self._see_to_the_dead(os.WNOHANG)
                time.sleep(_OFTEN)
            if self._places:
                announce()
            while self._places:
                self._see_to_the_dead(0)
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)
            os.close(self._kept)
            os.close(self._open)

    def _stop(self, kind: int, frame: Any) -> None:
        self._stopping = True
        for process in self._places:
            os.kill(process, signal.SIGTERM)

    def _fork(self, place: int) -> None:
        process = os.fork()
        if process == 0:
            os.close(self._kept)
            _leave_with(lambda: self._work(place, self._open), self._journal)
        self._places[process], self._born[process] = place, time.monotonic()

    def _see_to_the_dead(self, options: int) -> None:
        """Replace a worker that has died; waits for one unless told not to."""
        process, status = os.waitpid(-1, options)
        place = self._places.pop(process, None)
        if place is None or self._stopping:
            return
        code = os.waitstatus_to_exitcode(status)
        if code == _UNUSABLE:
            self._stop(signal.SIGTERM, None)
            raise StriateError("A worker could not start; its log says why.")
        self._journal("worker died", "warning", worker=place, code=code)
        if time.monotonic() - self._born[process] < _SOON:
            time.sleep(_SOON)
        self._fork(place)


_UNUSABLE = 2


def _leave_with(work: Callable[[], None], journal: Journal) -> None:
    """Work and leave the process, whatever happens."""
    code = 1
    try:
        work()
        code = 0
    except StriateError as error:
        journal("cannot start", "error", message=str(error))
        code = _UNUSABLE
    except BaseException as error:
        journal.bug(error)
    finally:
        os._exit(code)


def in_a_child(work: Callable[[], Any]) -> Any:
    """Return what some work gives, done in a process of its own; it has to fit into JSON.

    Raises:
        StriateError: as the work.
        RuntimeError: the work failed otherwise.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            answer: Any = {"found": work()}
        except StriateError as error:
            answer = {"refused": str(error)}
        except BaseException:
            answer = {"failed": traceback.format_exc()}
        with os.fdopen(writing, "w") as file:
            json.dump(answer, file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(process, 0)
    answer = json.loads(said or '{"failed": "it was killed"}')
    if "refused" in answer:
        raise StriateError(answer["refused"])
    if "failed" in answer:
        raise RuntimeError(f"a child process failed: {answer['failed']}")
    return answer["found"]

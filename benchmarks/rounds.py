"""Calls taken in turn, and the document that keeps a row as soon as it is measured.

A ratio means something only between calls of the same minute: each has its turn every round, and
the ratio is that of the medians, with the quartiles of the rounds' own ratios. A peer far behind
the best after a few rounds is left alone from then on, since only the best one counts.

Libraries that bring threads of their own are measured `Apart`: in one process the threads of one
still wait awake, or sleep more deeply, when another begins, and rows of a few milliseconds said
more about who came before than about who computes.

With `--results FILE` a document grows row by row: rows that it has are not measured again, so that
a benchmark can be stopped, and continued on the same machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from striate.errors import UsageError
from striate.files import atomic_write
from striate.ops import machine

Run = Callable[[], Any]

WARM = 2
EARLY = 4  # rounds after which a peer far behind is left alone
FAR = 1.5
TURN, LEAST = 0.05, 2  # seconds and calls of a turn
OURS = "ours"


class Apart:
    """A call that a process of its own makes, asleep while others have their turn.

    Args:
        make: a function of a module, that returns the call; run in the process.
        arguments: of `make`.

    Raises:
        RuntimeError: `make` or the first call failed, with its message.
    """

    def __init__(self, make: Callable[..., Run], *arguments: Any) -> None:
        spawned = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawned.Pipe()
        self._process = spawned.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()
        try:
            fine, self.answer = self._pipe.recv()
        except EOFError:
            fine, self.answer = False, "the process ended"
        if not fine:
            self._process.join()
            raise RuntimeError(self.answer)

    def turn(self) -> float:
        """Return the seconds of a call: the median of a turn, after one to wake the threads."""
        self._pipe.send(None)
        seconds: float = self._pipe.recv()
        return seconds

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(10)
        self._process.kill()


def _serve(pipe: Connection, make: Callable[..., Run], arguments: tuple[Any, ...]) -> None:
    """Make the call, and answer with its times until nobody asks."""
    try:
        run = make(*arguments)
        answer = run()
    except Exception as error:
        pipe.send((False, f"{type(error).__name__}: {error}"))
        return
    pipe.send((True, answer))
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        run()
        times = [timed(run)]
        while len(times) < LEAST or sum(times) < TURN:
            times.append(timed(run))
        pipe.send(statistics.median(times))


def timed(run: Run) -> float:
    """Return the seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def alone(run: Run, rest: float = 0.01) -> Callable[[], float]:
    """Return the turn of a call in this process: one, after a rest in which threads go to sleep."""

    def turn() -> float:
        time.sleep(rest)
        return timed(run)

    return turn


def interleaved(turns: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each had in its turns, one a round, after some to warm up.

    Args:
        turns: by name, `ours` among them; each returns seconds.
        rounds: how many count.
    """
    times: dict[str, list[float]] = {name: [] for name in turns}
    racing = dict(turns)
    for number in range(rounds + WARM):
        if number == WARM + EARLY:
            medians = {name: statistics.median(taken) for name, taken in times.items()}
            best = min(value for name, value in medians.items() if name != OURS)
            racing = {n: turn for n, turn in turns.items() if n == OURS or medians[n] <= FAR * best}
        for name, turn in racing.items():
            taken = turn()
            if number >= WARM:
                times[name].append(taken)
    return times


def compared(times: dict[str, list[float]]) -> dict[str, Any]:
    """Return what a row says of times: medians, the best peer, the ratio and its quartiles."""
    medians = {name: statistics.median(taken) * 1e3 for name, taken in times.items()}
    full = [name for name, taken in times.items() if len(taken) == len(times[OURS])]
    best = min((name for name in full if name != OURS), key=medians.__getitem__)
    ratios = [theirs / mine for theirs, mine in zip(times[best], times[OURS], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "unit": "ms",
        "ours": round(medians[OURS], 3),
        "peers": {name: round(value, 3) for name, value in medians.items() if name != OURS},
        "best_peer": best,
        "ratio": round(medians[best] / medians[OURS], 3),
        "interval": [round(low, 3), round(high, 3)],
        "rounds": len(times[OURS]),
    }


class Document:
    """A benchmark's document, kept in a file where one is given.

    Args:
        claim: what the rows are to show.
        arguments: of the command: `json`, and `results`, a path or None.
        conditions: more than the machine's.
    """

    def __init__(self, claim: str, arguments: argparse.Namespace, **conditions: Any) -> None:
        here = machine()
        self.path: Path | None = arguments.results
        self.content: dict[str, Any] = {
            "claim": claim,
            "conditions": {
                "machine": here.cpu,
                "vector": here.vector,
                "threads": here.threads,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
                "dtype": "float32",
                **conditions,
            },
            "rows": [],
        }
        if self.path is not None and self.path.exists():
            kept = json.loads(self.path.read_text())
            if kept["conditions"] != self.content["conditions"]:
                raise UsageError(
                    f"Expected rows of {self.content['conditions']} in {self.path}, found those of "
                    f"{kept['conditions']}: give another file."
                )
            self.content = kept

    def has(self, name: str) -> bool:
        """Say whether a row is there already."""
        return any(row["name"] == name for row in self.content["rows"])

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row."""
        self.content["rows"].append(row)
        if self.path is not None:
            atomic_write(self.path, (json.dumps(self.content, indent=2) + "\n").encode())

    def text(self) -> str:
        """Return the document as JSON."""
        return json.dumps(self.content, indent=2)


def options(description: str | None, rows: tuple[str, ...]) -> argparse.ArgumentParser:
    """Return the options that every such benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="under a minute: few rows and peers")
    parser.add_argument(
        *("--rows", "--only"), nargs="*", choices=rows, metavar="ROW", help=f"of {', '.join(rows)}"
    )
    parser.add_argument("--rounds", type=int, default=15, help="that count (default 15)")
    parser.add_argument("--results", type=Path, metavar="FILE", help="keep rows there; resume")
    return parser


def line(row: dict[str, Any]) -> str:
    """Return a row for readers."""
    low, high = row["interval"]
    theirs = ", ".join(f"{name} {value:.1f}" for name, value in row["peers"].items())
    agree = "" if row.get("agree", True) else "  DISAGREES"
    return (
        f"{row['name']:20} ours {row['ours']:8.1f} ms  ratio {row['ratio']:.2f} "
        f"({low:.2f} to {high:.2f}) to {row['best_peer']}  [{theirs}]{agree}"
    )

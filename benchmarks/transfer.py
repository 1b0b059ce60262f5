"""The lectures' table on photographs: five ways to put a published network to 24 other classes.

    python benchmarks/transfer.py FOLDER [--from mobilenet_v1_025_keras] [--json] [--quick]
                                  [--out results/transfer_2cores_202611.json]
                                  [--counts 10 50 all] [--seeds 3] [--epochs 15]

A cell is one way, at so many training images a class, with one seed: `striate transfer`'s own
defaults, the same images and the same number of epochs for every way, accuracy on the folder's test
part. Each cell is written to `--out` when it is done, and what is there is not done again, so that
an interrupted table goes on where it stopped. `--quick` does two ways for two epochs at 4 images a
class and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from striate.files import atomic_write
from striate.transfer import ALL, Settings, transfer

WAYS = ALL
RESULTS = Path(__file__).parent / "results" / "transfer_2cores_202611.json"

Cells = dict[str, dict[str, Any]]


def cells(counts: list[str], seeds: int) -> Iterator[tuple[str, int, str]]:
    """Yield (images a class, seed, way): few images first, then a seed after the other."""
    order = [(count, seed) for seed in range(seeds) for count in counts[:1]]
    order += [(count, seed) for seed in range(seeds) for count in reversed(counts[1:])]
    for count, seed in order:
        for way in WAYS:
            yield count, seed, way


def measure(data: str, start: str, cell: tuple[str, int, str], epochs: int) -> dict[str, Any]:
    """Go one way; return accuracy on the test part, seconds, and how many images there were."""
    count, seed, way = cell
    with tempfile.TemporaryDirectory() as folder:
        found = transfer(
            data,
            start,
            how=way,
            per_class=None if count == "all" else int(count),
            settings=Settings(epochs=epochs, seed=seed, device="cpu"),
            out=Path(folder) / "run",
        )
    (row,) = found.rows
    return {
        "accuracy": row.accuracy, "n": row.n, "seconds": row.seconds,
        "images": found.images, "moving": row.moving,
    }  # fmt: skip


def report(done: Cells, start: str, epochs: int) -> dict[str, Any]:
    """Return the document: claim, conditions, a row for each count and way, every cell."""
    groups: dict[tuple[str, str], list[float]] = {}
    for key, cell in done.items():
        count, _, way = key.split("/")
        groups.setdefault((count, way), []).append(cell["accuracy"])
    rows = []
    for (count, way), found in groups.items():
        peer = groups.get((count, "scratch"), [])
        mean = statistics.mean(found)
        scratch = statistics.mean(peer) if peer else None
        rows.append(
            {
                "name": f"{count}_{way}", "unit": "test accuracy", "ours": mean,
                "peers": {} if scratch is None else {"scratch": scratch},
                "best_peer": None if scratch is None else "scratch",
                "ratio": None if not scratch else mean / scratch,
                "interval": [min(found), max(found)], "seeds": found,
            }
        )  # fmt: skip
    return {
        "claim": "transfer to photographs by five ways: same images, same epochs",
        "conditions": {
            "from": start, "epochs": epochs, "threads": torch.get_num_threads(),
            "torch": torch.__version__, "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "rows": rows,
        "cells": done,
    }  # fmt: skip


def main() -> None:
    """Fill in the table's cells that are missing, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--from", dest="start", default="mobilenet_v1_025_keras")
    parser.add_argument("--counts", nargs="+", default=["10", "50", "all"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.quick:
        done = {
            f"4/0/{way}": measure(given.folder, given.start, ("4", 0, way), 2)
            for way in ("linear", "scratch")
        }
    else:
        done = fill(given)
    document = report(done, given.start, 2 if given.quick else given.epochs)
    if given.json:
        print(json.dumps(document, indent=1))
    else:
        for row in document["rows"]:
            low, high = row["interval"]
            print(
                f"{row['name']:<14} {row['ours']:.3f}  {low:.3f} to {high:.3f}  "
                f"{len(row['seeds'])} seeds"
            )


def fill(given: argparse.Namespace) -> Cells:
    """Measure every missing cell, writing the document after each."""
    done: Cells = json.loads(given.out.read_text())["cells"] if given.out.exists() else {}
    for cell in cells(given.counts, given.seeds):
        key = "/".join(map(str, cell))
        if key in done:
            continue
        done[key] = measure(given.folder, given.start, cell, given.epochs)
        print(f"{key}: {done[key]}", file=sys.stderr)
        text = json.dumps(report(done, given.start, given.epochs), indent=1) + "\n"
        atomic_write(given.out, lambda partial, text=text: partial.write_text(text))
    return done


if __name__ == "__main__":
    main()

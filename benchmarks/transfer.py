"""The lectures' table on photographs: five ways to put a published network to 24 other classes.

    python benchmarks/transfer.py FOLDER [--from mobilenet_v1_025_keras] [--json] [--quick]
                                  [--out results/transfer_2cores_202611.json]
                                  [--counts 10 50 all all:15] [--seeds 3] [--seen 3600]
                                  [--ways all scratch] [--precision bfloat16]

A cell is one way, at so many training images a class, with one seed. Every cell of a row has the
same images and the same budget: as many epochs as make `--seen` images, whatever the row, or those
after the colon. `all:15` is all images for 15 epochs. Accuracy is on the folder's test part.

Each cell is written to `--out` when it is done, and what is there is not done again, so that an
interrupted table goes on where it stopped, and several processes may fill in rows of one table.
`--quick` does two ways for two epochs at 4 images a class and writes nothing.
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

from striate import data
from striate.files import atomic_write
from striate.transfer import ALL, Settings, transfer
from striate.transfer.material import few

RESULTS = Path(__file__).parent / "results" / "transfer_2cores_202611.json"

Cells = dict[str, dict[str, Any]]


def cells(counts: list[str], seeds: int, ways: list[str]) -> Iterator[tuple[str, int, str]]:
    """Yield (row, seed, way): a row after the other, in each a seed after the other."""
    for count in counts:
        for seed in range(seeds):
            for way in ways:
                yield count, seed, way


def measure(given: argparse.Namespace, cell: tuple[str, int, str]) -> dict[str, Any]:
    """Go one way; return accuracy on the test part, seconds, epochs, and how many images."""
    (count, _, epochs), seed, way = cell[0].partition(":"), cell[1], cell[2]
    per_class = None if count == "all" else int(count)
    images = len(few(data.open(given.folder), per_class, seed).parts["train"])
    shown = int(epochs) if epochs else max(round(given.seen / images), 1)
    settings = Settings(epochs=shown, seed=seed, precision=given.precision, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        found = transfer(
            given.folder,
            given.start,
            how=way,
            per_class=per_class,
            settings=settings,
            out=Path(folder) / "run",
        )
    (row,) = found.rows
    return {
        "accuracy": row.accuracy, "n": row.n, "seconds": row.seconds, "images": found.images,
        "moving": row.moving, "epochs": shown, "precision": given.precision,
    }  # fmt: skip


def report(done: Cells, start: str) -> dict[str, Any]:
    """Return the document: claim, conditions, a row for each count and way, every cell."""
    groups: dict[tuple[str, str], list[float]] = {}
    for key, cell in sorted(done.items()):
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
            "from": start, "threads": torch.get_num_threads(), "torch": torch.__version__,
            "python": platform.python_version(), "machine": platform.machine(),
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
    parser.add_argument("--ways", nargs="+", choices=ALL, default=list(ALL))
    parser.add_argument("--seen", type=int, default=3600)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.quick:
        done = {f"4/0/{way}": measure(given, ("4:2", 0, way)) for way in ("linear", "scratch")}
    else:
        done = fill(given)
    document = report(done, given.start)
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
    for cell in cells(given.counts, given.seeds, given.ways):
        key = "/".join(map(str, cell))
        if key in known(given.out):
            continue
        found = measure(given, cell)
        print(f"{key}: {found}", file=sys.stderr)
        done = known(given.out) | {key: found}  # read again: another process may have added to it
        atomic_write(given.out, f"{json.dumps(report(done, given.start), indent=1)}\n".encode())
    return known(given.out)


def known(path: Path) -> Cells:
    """Return the cells that are measured."""
    return dict(json.loads(path.read_text())["cells"]) if path.exists() else {}


if __name__ == "__main__":
    main()

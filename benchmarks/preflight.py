"""How long the checks before a training take, on every kind of data and network.

    python benchmarks/preflight.py [--json] [--data NAME[=FOLDER] ...] [--settings]

For each data set that is here: opening it, the data doctor, and preflight of the recipe that
`striate train` would choose and of some networks that it would not; with --settings, preflight of
the corpus's settings in place of these. Every row names its seconds; the claim is about preflight.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from benchmarks.faults.settings import KINDS, SETTINGS, Make, healthy, thinned

from striate import data, doctor, recipes
from striate.data import health
from striate.errors import StriateError
from striate.ops import environment
from striate.records import to_builtins
from striate.train import Recipe
from striate.train.prepare import Prepared, prepare

CLAIM = "preflight takes less than 60 s on two cores, whatever the data and the network"
SETS = ("digits", "mnist", "fashion_mnist", "cifar10")
NETS = ("auto", "lenet", "resnet20", "vgg16", "resnet18")


def timed(recipe: Recipe, prepared: Prepared) -> dict[str, Any]:
    """Return how long preflight took, and what it said."""
    began, busy = time.perf_counter(), time.process_time()
    found = doctor.preflight(recipe, prepared)
    return {
        "network": recipe.network.name,
        "preflight": time.perf_counter() - began,
        "processor": time.process_time() - busy,  # what it would take, on a crowded machine
        "verdict": doctor.verdict(found),
        "skipped": [each.check for each in found if each.verdict == "skip"],
        "failed": [each.check for each in found if each.verdict == "fail"],
    }


def of_set(name: str, spec: str) -> Iterator[dict[str, Any]]:
    """Check a data set, and networks on it; those that do not take its images are left out."""
    began = time.perf_counter()
    dataset = data.open(spec)
    opened = time.perf_counter()
    health.examine(dataset)
    yield {"data": name, "open": opened - began, "doctor": time.perf_counter() - opened}
    for net in NETS:
        try:
            recipe = recipes.make("auto", dataset, network=net, device="cpu")
            yield {"data": name, "asked": net, **timed(recipe, prepare(recipe, dataset))}
        except StriateError as error:
            print(f"{name}, {net}: {str(error).splitlines()[0]}", file=sys.stderr)


def of_corpus() -> Iterator[dict[str, Any]]:
    """Check the healthy recipe of every setting of the corpus."""
    for setting in SETTINGS.values():
        for kind in KINDS:
            recipe = healthy(setting, Make(kind, setting.shape)(), 0)
            yield {"data": setting.name, **timed(recipe, prepare(recipe, thinned(setting, 0)))}


def main() -> None:
    """Print a row for each, and the longest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", action="append", metavar="NAME[=FOLDER]", help="those sets only")
    parser.add_argument("--settings", action="store_true", help="the corpus's settings instead")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, Any]] = []
    wanted = [each.partition("=") for each in options.data or SETS]
    parts = [of_corpus()] if options.settings else [of_set(n, f or n) for n, _, f in wanted]
    for part in parts:
        try:
            for row in part:
                rows.append(row)
                times = ", ".join(f"{k} {v:.1f} s" for k, v in row.items() if isinstance(v, float))
                named = " ".join(str(row[k]) for k in ("data", "network") if k in row)
                print(f"{named:30} {times}", file=sys.stderr)
        except StriateError as error:  # a set that is not here
            print(error, file=sys.stderr)
    longest = max((row for row in rows if "preflight" in row), key=lambda row: row["preflight"])
    document = {"claim": CLAIM, "rows": rows, "environment": to_builtins(environment())}
    document["longest"] = {key: longest[key] for key in ("data", "network", "preflight")}
    print(json.dumps(document) if options.json else f"longest: {document['longest']}")


if __name__ == "__main__":
    main()

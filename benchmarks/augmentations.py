"""What each augmentation gives: ResNet-18 at 64 pixels on photographs, the same number of steps.

Every arm is the same training (network, steps, rate, seeds) but for its augmentation; the first has
none. Each finished training is written to `--out` as it ends, and what is there is not done again.
There are 24, of some 400 steps of 57 GFLOP: an estimated 3 to 4 minutes each on two idle cores.
Ctrl-C (or SIGTERM) saves where a training stands; the same command goes on from there.

    python benchmarks/augmentations.py FOLDER [--epochs 24] [--seeds 3] [--only ARM ...]
        [--out results/augmentations_2cores_202611.json] [--runs runs/augmentations]
        [--json] [--quick]

`--quick` trains without augmentation and with all of it for one epoch, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from striate import data, recipes, train
from striate.files import atomic_write

RESULTS = Path(__file__).parent / "results" / "augmentations_2cores_202611.json"
BASE = [
    "augmentation=[]",
    "sizes=[]",
    "ema=null",
    "objective=cross_entropy",
    "optimiser=sgd",
    "optimiser.rate=0.02",
    "optimiser.decay=0.0005",
    "schedule=cosine",
    "warmup_epochs=1",
    "batch=64",
]
FLIP = data.Flip()
CROP = data.RandomResizedCrop(scale=(0.25, 1.0))
JITTER = data.ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05)
ERASE = data.Erase()
ARMS: dict[str, tuple[data.Augmentation, ...]] = {
    "none": (),
    "all": (FLIP, CROP, JITTER, ERASE),
    "flip": (FLIP,),
    "random_resized_crop": (CROP,),
    "colour_jitter": (JITTER,),
    "random_erasing": (ERASE,),
    "pad_and_crop": (data.PadAndCrop(pad=8),),
    "affine": (data.Affine(rotate_degrees=10, translate=0.1, scale=(0.9, 1.1), shear=0.1),),
}

Cells = dict[str, dict[str, Any]]


class Stopped(Exception):
    """An end was asked for: the training is saved."""


def measure(source: data.Dataset, arm: str, seed: int, epochs: int, place: Path) -> dict[str, Any]:
    """Train one arm with one seed, or go on with it; return its figures on the test part."""
    settings = [*BASE, f"epochs={epochs}", f"seed={seed}"]
    recipe = recipes.make("auto", source, network="resnet18", size=(64, 64), settings=settings)
    recipe = recipe.replace(augmentation=ARMS[arm])
    if place.exists():
        result = train.resume(place, dataset=source)
    else:
        result = train.train(recipe, out=place, dataset=source)
    if result.state == "interrupted":
        raise Stopped
    if result.test is None:
        raise SystemExit("Expected data with a test part, received none.")
    test = result.test
    return {"accuracy": test.accuracy, "loss": test.loss, "n": test.n, "seconds": result.seconds}


def report(done: Cells, epochs: int) -> dict[str, Any]:
    """Return the document: claim, conditions, a row for each arm, every training."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key in sorted(done):
        found.setdefault(key.partition("/")[0], []).append(done[key])
    plain = {key.partition("/")[2]: done[key] for key in done if key.startswith("none/")}
    rows = []
    for arm in (arm for arm in ARMS if arm in found):
        figures = [each["accuracy"] for each in found[arm]]
        gains = [
            done[f"{arm}/{seed}"]["accuracy"] - each["accuracy"]
            for seed, each in plain.items()
            if f"{arm}/{seed}" in done
        ]
        mean = statistics.fmean(figures)
        peer = statistics.fmean(each["accuracy"] for each in plain.values()) if plain else None
        rows.append(
            {
                "name": arm, "unit": "test accuracy", "ours": mean,
                "peers": {} if peer is None else {"none": peer},
                "best_peer": None if peer is None else "none",
                "ratio": None if not peer else mean / peer,
                "interval": [min(figures), max(figures)],
                "seeds": figures, "gains": gains,
                "loss": statistics.fmean(each["loss"] for each in found[arm]),
            }
        )  # fmt: skip
    return {
        "claim": "what each augmentation gives at equal steps",
        "conditions": {
            "network": "resnet18 at 64x64", "epochs": epochs, "batch": 64,
            "torch": torch.__version__, "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "rows": rows,
        "cells": done,
    }  # fmt: skip


def fill(given: argparse.Namespace, source: data.Dataset) -> Cells:
    """Make every missing training, every arm once before any comes again; write after each."""
    before = json.loads(given.out.read_text()) if given.out.exists() else {}
    if before and before["conditions"]["epochs"] != given.epochs:
        raise SystemExit(
            f"{given.out} is of {before['conditions']['epochs']} epochs: move it away."
        )
    done: Cells = before.get("cells", {})
    arms = [arm for arm in ARMS if not given.only or arm in ("none", *given.only)]
    for key in [f"{arm}/{seed}" for seed in range(given.seeds) for arm in arms]:
        if key in done:
            continue
        arm, _, seed = key.partition("/")
        place = given.runs / f"{given.epochs}" / f"{arm}-{seed}"
        try:
            done[key] = measure(source, arm, int(seed), given.epochs, place)
        except Stopped:
            print(f"{key} is saved: the same command goes on", file=sys.stderr)
            break
        print(f"{key}: {done[key]}", file=sys.stderr)
        text = json.dumps(report(done, given.epochs), indent=1) + "\n"
        atomic_write(given.out, text.encode())
        shutil.rmtree(place)
    return done


def main() -> None:
    """Make the trainings that are missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ARMS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--runs", type=Path, default=Path("runs/augmentations"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    source = data.open(given.folder)
    if given.quick:
        with tempfile.TemporaryDirectory() as folder:
            done = {
                f"{arm}/0": measure(source, arm, 0, 1, Path(folder) / arm)
                for arm in ("none", "all")
            }
        document = report(done, 1)
    else:
        document = report(fill(given, source), given.epochs)
    if given.json:
        print(json.dumps(document, indent=1))
        return
    for row in document["rows"]:
        gains = ", ".join(f"{100 * each:+.1f}" for each in row["gains"])
        print(f"{row['name']:<20} {100 * row['ours']:5.1f}%  against none, seed by seed: {gains}")


if __name__ == "__main__":
    main()

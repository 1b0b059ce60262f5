"""What each augmentation gives: ResNet-18 at 64 pixels on photographs, the same number of steps.

Every arm is the same training (network, steps, rate, seeds) but for its augmentation; the first has
none. Each finished run is noted in a file beside --out, so that a call that was stopped goes on.
At full length an arm and seed of 30 epochs is expected to take some five minutes on two idle cores,
all of it two to three hours (not yet measured): run it at `nice -n 19`.

    python benchmarks/augmentations.py DATA [--epochs 30] [--seeds 3] [--out FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from striate import data, recipes, train

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
ARMS: dict[str, tuple[data.Augmentation, ...]] = {
    "none": (),
    "flip": (FLIP,),
    "pad and crop": (data.PadAndCrop(pad=8),),
    "random resized crop": (CROP,),
    "affine": (data.Affine(rotate_degrees=10, translate=0.1, scale=(0.9, 1.1), shear=5),),
    "colour jitter": (JITTER,),
    "cutout": (data.Cutout(size=24),),
    "random erasing": (data.Erase(),),
    "flip and random resized crop": (FLIP, CROP),
    "all of flip, crop, colour, erasing": (FLIP, CROP, JITTER, data.Erase()),
}


def run(source: data.Dataset, arm: str, seed: int, epochs: int, out: Path) -> dict[str, Any]:
    """Train one arm with one seed, or read what an earlier call found."""
    note = out / f"{arm.replace(' ', '_').replace(',', '')}-{seed}.json"
    if note.exists():
        found: dict[str, Any] = json.loads(note.read_text())
        if found["epochs"] == epochs:
            return found
    settings = [*BASE, f"epochs={epochs}", f"seed={seed}"]
    recipe = recipes.make("auto", source, network="resnet18", size=(64, 64), settings=settings)
    recipe = recipe.replace(augmentation=ARMS[arm])
    result = train.train(recipe, out=note.with_suffix(""), dataset=source, overwrite=True)
    if result.test is None:
        raise SystemExit("Expected data with a test part, received none.")
    found = {"arm": arm, "seed": seed, "epochs": epochs, "accuracy": result.test.accuracy}
    found |= {"loss": result.test.loss, "n": result.test.n, "seconds": result.seconds}
    note.write_text(json.dumps(found))
    return found


def row(arm: str, runs: list[dict[str, Any]], plain: float) -> dict[str, Any]:
    """Return the mean over seeds, and what it gains over no augmentation."""
    figures = [each["accuracy"] for each in runs]
    mean = statistics.fmean(figures)
    return {
        "name": arm,
        "unit": "test accuracy",
        "ours": mean,
        "seeds": figures,
        "loss": statistics.fmean(each["loss"] for each in runs),
        "gain": mean - plain,
    }


def main() -> None:
    """Run every arm and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/augmentations"))
    parser.add_argument("--only", action="append", choices=ARMS, help="can be repeated")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    source = data.open(asked.data)
    arms = list(dict.fromkeys(["none", *(asked.only or ARMS)]))
    found = {arm: [] for arm in arms}
    for seed in range(asked.seeds):  # every arm once, before any comes again
        for arm in arms:
            found[arm].append(run(source, arm, seed, asked.epochs, asked.out))
    plain = statistics.fmean(each["accuracy"] for each in found["none"])
    rows = [row(arm, found[arm], plain) for arm in arms]
    conditions = {"network": "resnet18 at 64x64", "epochs": asked.epochs, "seeds": asked.seeds}
    claim = "what each augmentation gives at equal steps"
    if asked.json:
        print(json.dumps({"claim": claim, "conditions": conditions, "rows": rows}, indent=1))
        return
    for each in rows:
        spread = ", ".join(f"{100 * figure:.1f}" for figure in each["seeds"])
        print(
            f"{each['name']:36} {100 * each['ours']:5.1f}%  {100 * each['gain']:+5.1f}  ({spread})"
        )


if __name__ == "__main__":
    main()

"""A folder of images becomes a classifier that can be trusted, from Python.

Shows the data looked through, the network checked before its training, the training, its figure on
images it has never seen, and the labels of single files.

    python examples/folder.py [FOLDER]

FOLDER holds a folder a class; without it, 600 of the digits inside the package are written as one.
Prints what the checks find, the accuracy with its 95% interval, the classes that are mistaken for
each other, and five labels. Leaves a run folder, which every `striate` command takes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from PIL import Image

from striate import data, doctor, inference, recipes, train
from striate.data import health


def digits(folder: Path, count: int = 600) -> Path:
    """Write digits as PNGs, a folder a class."""
    dataset = data.open("digits")
    samples = dataset.parts["all"]
    for number in range(count):
        pixels, label = samples.stored(number), dataset.classes[int(samples.labels[number])].id
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.squeeze(pixels)).save(folder / label / f"{number}.png")
    return folder


def main(folder: Path, out: Path) -> train.TrainResult:
    """Check, train, evaluate, predict."""
    dataset = data.open(str(folder))
    for found in health.examine(dataset).findings:
        if found.verdict != "pass":
            print(f"data, {found.verdict}: {found.meaning}")

    recipe = recipes.make("auto", dataset, settings=["epochs=12"])
    print(f"{recipe.network.name}: {recipe.reason}")
    for check in doctor.preflight(recipe, trainings=False):
        if check.verdict in ("warn", "fail"):
            print(f"{check.check}, {check.verdict}: {check.meaning}; {check.fix}")

    result = train.train(recipe, dataset=dataset, out=out, observers=[doctor.Live(out)])
    test = inference.evaluate(result.run).test
    low, high = test.interval
    print(f"{test.n} images never seen: {test.accuracy:.1%} right ({low:.1%} to {high:.1%})")
    for mistake in test.mistakes[:3]:
        print(f"  {mistake.sample}: {mistake.id} taken for {mistake.answer}")
    files = sorted(folder.rglob("*.png"))[:5] or sorted(folder.rglob("*.jpg"))[:5]
    for each in inference.predict(result.run, files):
        print(f"{each.file}: {each.label}, {each.probability:.1%}")
    return result


if __name__ == "__main__":
    place = Path(mkdtemp())
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else digits(place / "digits")
    print(f"striate explain {main(given, place / 'run').run} IMAGE")

"""A gate for continuous integration: data that would spoil a training does not get in.

`striate check` leaves with 0 where nothing is wrong, 1 for a verdict of fail (a leak between the
parts, one image under two labels, files that cannot be read), and 2 where it cannot be asked at
all. A pipeline needs one line:

    # .github/workflows/data.yml
    on: {push: {paths: ["photos/**"]}}
    jobs:
      data:
        runs-on: ubuntu-latest
        steps:
          - uses: actions/checkout@v4
          - run: pip install striate
          - run: striate check photos --only-data --out report
          - uses: actions/upload-artifact@v4
            if: always()
            with: {name: report, path: report}

Where the pipeline should say more than red or green, read the document:

    python examples/ci_gate.py [FOLDER]

Prints what is wrong, for FOLDER or for two small folders of its own, one of which has a training
image among its test images, and leaves with the code of the last.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from PIL import Image


def gate(folder: Path) -> int:
    """Print an annotation for each thing that fails, and return the exit code."""
    command = [sys.executable, "-m", "striate", "check", str(folder), "--only-data", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode == 2:
        print(f"::error::{ended.stderr.strip()}")
        return 2
    document = json.loads(ended.stdout)
    for each in document["data"]["health"]["findings"]:
        if each["verdict"] == "fail":
            print(f"::error title={each['check']}::{each['meaning']}: {each['items'][:3]}")
    print(f"{folder.name}: {document['verdict']}")
    return ended.returncode


def folders(place: Path) -> tuple[Path, Path]:
    """Write a sound folder of images, and one with a leak."""
    dice = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 6)):
        for label, level in (("dark", 60), ("light", 180)):
            folder = place / "sound" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = dice.normal(level, 40, (32, 32, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    shutil.copytree(place / "sound", place / "leaking")
    leak = place / "leaking"
    shutil.copy(leak / "train/dark/0.png", leak / "test/dark/copy.png")
    return place / "sound", leak


if __name__ == "__main__":
    chosen = [Path(sys.argv[1])] if len(sys.argv) > 1 else folders(Path(mkdtemp()))
    sys.exit([gate(each) for each in chosen][-1])

"""What the data doctor finds, and how long it takes.

    python benchmarks/data_doctor.py [--folder FOLDER] [--sets cifar10 fashion_mnist]
        [--out results/data_doctor_2cores_202611.json] [--pictures docs/pictures] [--json] [--quick]

Rows: `photographs` (the folder), `small_10000` (10,000 colour images of 32 pixels, all different),
and each named set, with what is found in it and a picture of some of it under `--pictures`;
`planted` is a copy of the folder with corrupt files, duplicates, nearly duplicates, wrong labels,
hidden files and odd modes. Seconds are of the clock and of the processor: on a busy machine only
the latter, halved where two cores work, says something. `--quick` leaves the named sets out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from planted import Planted, finding

from striate import data, draw
from striate.data import Dataset
from striate.data.health import Health, examine
from striate.data.prepare import resample_8bit
from striate.files import atomic_write

RESULTS = Path(__file__).parent / "results" / "data_doctor_2cores_202611.json"
LIMITS = {"photographs": 60.0, "small_10000": 30.0}  # seconds on two cores
SHOWN = 6  # groups of images in a picture
SIDE = 96


def timed(dataset: Dataset) -> tuple[Health, dict[str, float]]:
    """Examine a data set; return what was found, and seconds."""
    began, worked = time.perf_counter(), time.process_time()
    health = examine(dataset)
    took = {"clock": time.perf_counter() - began, "processor": time.process_time() - worked}
    return health, took


def row(name: str, health: Health, seconds: dict[str, float]) -> dict[str, Any]:
    """Return a data set's row: time, and how many images each finding names."""
    limit = LIMITS.get(name)
    return {
        "name": name, "unit": "seconds of processor", "ours": seconds["processor"],
        "peers": {} if limit is None else {"limit, two cores": limit},
        "best_peer": None if limit is None else "limit, two cores",
        "ratio": None if limit is None else limit / seconds["processor"],
        "seconds": seconds, "images": health.images,
        "found": {each.check: each.count for each in health.findings if each.count},
        "leaked": len(health.leaked),
        "across": across(health)[:50],
    }  # fmt: skip


def across(health: Health) -> tuple[tuple[str, ...], ...]:
    """Return the groups of images that are in two parts."""
    return finding(health, "leaks_across_parts").items


def small(count: int) -> Dataset:
    """Return images of 32 pixels, smooth as photographs are, of which no two are alike."""
    chance = np.random.default_rng(0)
    rough = chance.integers(0, 256, (count, 8, 8, 3), np.uint8)
    images = np.stack([resample_8bit(each, (32, 32), "bicubic") for each in rough])
    samples = data.ArraySamples(images, np.arange(count) % 10, [f"{k}" for k in range(count)])
    return Dataset("small", "small", data.open("digits").classes, {"all": samples})


def picture(dataset: Dataset, health: Health, place: Path) -> None:
    """Write the first groups that are in two parts: a row each."""
    where = {
        f"{part}/{id.removeprefix(f'{part}/')}": (part, index)
        for part, samples in dataset.parts.items()
        for index, id in enumerate(samples.ids)
    }
    groups = across(health)
    spread = np.linspace(0, len(groups) - 1, min(SHOWN, len(groups))).astype(int)
    tiles, captions = [], []
    for group in (groups[k] for k in spread):
        first = {name.partition("/")[0]: name for name in reversed(group)}  # one of each part
        for name in list(first.values())[:2]:
            part, index = where[name]
            samples = dataset.parts[part]
            label = dataset.classes[int(samples.labels[index])].label
            tiles.append(resample_8bit(samples.stored(index), (SIDE, SIDE), "nearest"))
            captions.append(f"{label}\n{name}")
    title = f"{health.name}: the same picture in two parts"
    draw.grid(tiles, captions, title=title, columns=6).save(place)


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the document."""
    return {
        "claim": "what the data doctor finds, and in what time",
        "conditions": {
            "cores": os.cpu_count(), "load": os.getloadavg()[0],
            "numpy": np.__version__, "python": platform.python_version(),
            "machine": platform.machine(),
        },
        "rows": rows,
    }  # fmt: skip


def main() -> None:
    """Examine them all, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    standard = os.environ.get("STRIATE_DATA", "")
    parser.add_argument("--folder", type=Path, default=Path(standard, "grocery"))
    parser.add_argument("--sets", nargs="*", default=["cifar10", "fashion_mnist"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    examine(small(50))  # kernels are compiled once
    clean, seconds = timed(data.open(given.folder))
    rows = [row("photographs", clean, seconds), row("small_10000", *timed(small(10_000)))]
    with tempfile.TemporaryDirectory() as folder:
        planted = Planted(given.folder, Path(folder) / "planted")
        score = planted.score(examine(data.open(planted.place)), clean)
    rows += [
        {"name": f"planted_{what}", "unit": "share", "ours": share} for what, share in score.items()
    ]
    for name in [] if given.quick else given.sets:
        dataset = data.open(name)
        health, seconds = timed(dataset)
        rows.append(row(name, health, seconds))
        if given.pictures is not None and health.leaked:
            picture(dataset, health, given.pictures / f"doubles_{name}.png")
        atomic_write(given.out, (json.dumps(report(rows), indent=1) + "\n").encode())
    if given.json:
        print(json.dumps(report(rows), indent=1))
        return
    for each in rows:
        more = f"  {each['found']}" if "found" in each else ""
        print(f"{each['name']:<24} {each['ours']:8.3f} {each['unit']}{more}")


if __name__ == "__main__":
    main()

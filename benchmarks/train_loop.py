"""What our training loop costs over a bare one, written by hand.

Both train the same network on the same images with the same optimiser settings. The bare loop has
the images in memory as normalised float tensors, picks rows by a permutation and does the five
lines of any tutorial; ours has everything on: batches from the loader, dropout addresses, finite
checks, gradient norm, schedule, weight decay groups, history on disk. Chunks of steps alternate
between the two, so that a busy machine slows both; the ratio is that of the median times, the
interval the quartiles of the ratios of neighbouring chunks.

    python benchmarks/train_loop.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from striate import data, runs, train, zoo
from striate.contract import Resize
from striate.design import Network
from striate.layers import build
from striate.ops import environment, machine
from striate.train.plan import make_plan
from striate.train.prepare import Prepared, prepare
from striate.train.processes import Processes
from striate.train.training import Training

ROWS = {  # name: network, input shape, batch, steps in a chunk
    "resnet20_b128": ("resnet20", (3, 32, 32), 128, 1),
    "lenet_b64": ("lenet", (1, 28, 28), 64, 20),
}
IMAGES = 4096


def recipe_for(network: Network, batch: int, images: Path) -> train.Recipe:
    """Return the settings of both loops: SGD with momentum, constant rate, no augmentation."""
    channels, height, width = network.input_shape
    return train.Recipe(
        name="benchmark",
        network=network,
        data=train.DataChoice(path=str(images), validation=0.02, test=0.02),
        preprocessing=train.Preprocessing(
            channels="rgb" if channels == 3 else "grey", size=(height, width), resize=Resize()
        ),
        optimiser=train.SGD(rate=0.01, momentum=0.9, decay=1e-4),
        schedule=train.Constant(),
        epochs=10_000,
        batch=batch,
        device="cpu",
        checkpoint_minutes=1e9,
    )


def our_steps(recipe: train.Recipe, prepared: Prepared, folder: Path) -> Iterator[None]:
    """Take a step of ours at each `next`."""
    alone = Processes(0, 1, torch.device("cpu"))
    run = runs.create(
        folder,
        network=recipe.network,
        contract=prepared.contract,
        recipe=recipe,
        data=prepared.split.document(),
        env=environment(),
        plan=make_plan(recipe, alone),
    )
    training = Training(recipe, prepared, alone, run=run)
    while True:
        for parts in training.batches():
            training.take_step(parts)
            training.wish()
            yield


def bare_steps(recipe: train.Recipe, prepared: Prepared) -> Iterator[None]:
    """Take a step of a hand-written loop at each `next`."""
    loader = data.Loader(
        prepared.split.train, prepared.contract, batch=recipe.batch, seed=0, shuffle=False
    )
    batches = list(loader.epoch(0))
    images = torch.cat([batch.images for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    net = build(recipe.network)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    net.train()
    while True:
        order = torch.randperm(len(images))
        for start in range(0, len(images), recipe.batch):
            rows = order[start : start + recipe.batch]
            optimiser.zero_grad()
            loss = functional.cross_entropy(net(images[rows]), labels[rows])
            loss.backward()
            optimiser.step()
            yield


def seconds(steps: Iterator[None], count: int) -> float:
    """Return how long `count` steps take."""
    began = time.perf_counter()
    for _ in range(count):
        next(steps)
    return time.perf_counter() - began


def measure(name: str, budget: float) -> dict[str, Any]:
    """Return one row of the benchmark's document, measured for about `budget` seconds."""
    kind, shape, batch, chunk = ROWS[name]
    network = zoo.network(kind, classes=10, input=shape)
    chance = np.random.default_rng(0)
    channels, height, width = shape
    images = chance.integers(0, 256, (IMAGES, height, width, channels), np.uint8)
    labels = np.arange(IMAGES) % 10
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder, "images.npz"), images=images, labels=labels)
        recipe = recipe_for(network, batch, Path(folder, "images.npz"))
        prepared = prepare(recipe)
        ours = our_steps(recipe, prepared, Path(folder, "run"))
        bare = bare_steps(recipe, prepared)
        seconds(ours, 2), seconds(bare, 2)
        pairs: list[tuple[float, float]] = []
        while len(pairs) < 3 or sum(map(sum, pairs)) < budget:
            if len(pairs) % 2:
                pairs.append((seconds(ours, chunk), seconds(bare, chunk)))
            else:
                bare_time = seconds(bare, chunk)
                pairs.append((seconds(ours, chunk), bare_time))
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(bare_time / our_time for our_time, bare_time in pairs)
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "name": name,
        "unit": "images/s",
        "ours": round(batch * chunk / mine, 1),
        "peers": {"bare_loop": round(batch * chunk / theirs, 1)},
        "best_peer": "bare_loop",
        "ratio": round(theirs / mine, 4),
        "interval": [round(low, 4), round(high, 4)],
        "rounds": len(pairs),
    }


def main() -> None:
    """Measure every row and print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    arguments = parser.parse_args()
    budget = 20.0 if arguments.quick else 120.0
    here = machine()
    document = {
        "claim": "Our training loop takes hardly more time than a bare hand-written one.",
        "conditions": {
            "machine": here.cpu,
            "threads": here.threads,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "rows": [measure(name, budget) for name in ROWS],
    }
    if arguments.json:
        print(json.dumps(document, indent=2))
        return
    for row in document["rows"]:
        low, high = row["interval"]
        print(
            f"{row['name']:15} ours {row['ours']:10.1f}  bare {row['peers']['bare_loop']:10.1f} "
            f"{row['unit']}  ratio {row['ratio']:.3f}  ({low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()

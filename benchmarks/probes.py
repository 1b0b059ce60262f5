"""What probes cost: a training with them against one without, of the same steps.

One training of ResNet-20 at 32x32, batch 128, whose probes are switched on and off from cycle to
cycle: a cycle with probes has `striate.train.probes.EVERY` steps, one of which is looked at, as in
every training. To keep it short, the steps between are sampled: the cost of a step that is looked
at and of the one before it are measured one after the other, and the overhead is their difference
over the length of a cycle.

Then the same beside a loop that is not ours (`doctor.Watch`): LeNet at batch 64, whole cycles, and
the medians of the seconds that are spent in the watch, over that of a step without them.

    python benchmarks/probes.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate import data, doctor, layers, runs, train, zoo
from striate.ops import environment
from striate.train.plan import make_plan
from striate.train.prepare import prepare
from striate.train.probes import EVERY
from striate.train.processes import Processes
from striate.train.training import Training

CLAIM = "probes cost at most 3% of training ResNet-20 on a CPU"


def training(folder: Path, batch: int) -> Training:
    """Return a training on random images of 32x32, its run folder written."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (1024, 32, 32, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", x=images, y=np.arange(1024) % 10)
    network = zoo.read("resnet20").with_input((3, 32, 32))
    recipe = train.Recipe(
        name="probes",
        network=network,
        data=train.DataChoice(path=str(folder / "images.npz"), validation=0.05, test=0.05),
        preprocessing=train.Preprocessing(channels="rgb", size=(32, 32)),
        epochs=10_000,
        batch=batch,
        device="cpu",
    )
    together = Processes(0, 1, torch.device("cpu"))
    prepared = prepare(recipe, data.open(recipe.data.path))
    runs.create(
        folder / "run",
        network=network,
        contract=prepared.contract,
        recipe=recipe,
        data=prepared.split.document(),
        env=environment(),
        plan=make_plan(recipe, together),
    )
    return Training(recipe, prepared, together, run=runs.open(folder / "run"))


def measure(rounds: int, batch: int) -> dict[str, Any]:
    """Time pairs of steps, one of them looked at, in either order."""
    with tempfile.TemporaryDirectory() as folder:
        subject = training(Path(folder), batch)
        parts = next(iter(subject.batches()))
        for _ in range(2):
            subject.take_step(parts)
        extra, plain = [], []
        for number in range(rounds):
            seconds = {}
            for looked_at in (True, False) if number % 2 else (False, True):
                subject.done = EVERY * (number + 2) - 1 if looked_at else EVERY * (number + 2)
                began = time.perf_counter()
                subject.take_step(parts)
                seconds[looked_at] = time.perf_counter() - began
            extra.append((seconds[True] - seconds[False]) / seconds[False])
            plain.append(seconds[False])
    overhead = statistics.median(extra) / EVERY
    low, _, high = (value / EVERY for value in statistics.quantiles(extra, n=4))
    return {
        "claim": CLAIM,
        "conditions": {"threads": torch.get_num_threads(), "every": EVERY, "rounds": rounds},
        "rows": [
            {
                "name": f"resnet20_b{batch}",
                "unit": "share of a step",
                "ours": overhead,
                "seconds_a_step": statistics.median(plain),
                "interval": [low, high],
            }
        ],
    }


class Timed(doctor.Watch):
    """A watch that counts the seconds in it."""

    spent = 0.0

    def step(self, loss: Tensor | float, labels: Tensor | None = None) -> None:
        """Note a step."""
        began = time.perf_counter()
        super().step(loss, labels)
        self.spent += time.perf_counter() - began

    def _begins(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        began = time.perf_counter()
        super()._begins(module, given)
        self.spent += time.perf_counter() - began


def beside(cycles: int, batch: int = 64) -> dict[str, Any]:
    """Watch LeNet in a plain loop, for so many cycles after a first one; medians of its steps."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 1, 28, 28, generator=generator)
    labels = torch.arange(batch) % 10
    net = layers.build(zoo.read("lenet"), seed=0)
    optimiser = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    plain, looked_at, own = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Timed(net, optimiser, f"{folder}/w", images=images, steps=938, epochs=10) as watch,
    ):
        for number in range(1, EVERY * (cycles + 1) + 1):
            began, watch.spent = time.perf_counter(), 0.0
            loss = nn.functional.cross_entropy(net(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            watch.step(loss, labels)
            if number > EVERY:
                own.append(time.perf_counter() - began - watch.spent)
                (plain if number % EVERY else looked_at).append(watch.spent)
    step = statistics.median(own)

    def share(quartile: int) -> float:
        usual, dear = (statistics.quantiles(each, n=4)[quartile] for each in (plain, looked_at))
        return (usual * (EVERY - 1) + dear) / EVERY / step

    return {
        "name": f"own_loop_lenet_b{batch}",
        "unit": "share of a step",
        "ours": share(1),
        "seconds_a_step": step,
        "interval": [share(0), share(2)],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    found = measure(*((5, 32) if options.quick else (12, 128)))
    found["rows"].append(beside(5 if options.quick else 40))
    lines = [f"{row['name']}: {100 * row['ours']:.2f}% of a step" for row in found["rows"]]
    print(json.dumps(found) if options.json else "\n".join(lines))


if __name__ == "__main__":
    main()

"""A training step on a CPU, planned, against PyTorch eager in both layouts and torch.compile.

A step is forward, cross-entropy, backward and SGD with momentum, on one batch that lies in memory.
Ours is the same step with each convolution computed as the measured plan says, forward and both
gradients. Everybody has the same weights at first, the same threads and float32; steps are
interleaved, one of each a round, and the ratio is that to the best peer of the row: of the medians,
with the quartiles of the ratios of the rounds. Losses of the first steps are compared.

    python benchmarks/train_step.py [--json] [--quick] [--only resnet18_32px_b64]
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import design, engine, zoo
from striate.design import Network
from striate.engine.memory import keep_freed_memory
from striate.layers import Conv2d, Net, build
from striate.ops import machine

ROWS = {  # name: network, pixels a side, batch
    "vgg11_32px_b64": ("vgg11", 32, 64),
    "resnet18_32px_b64": ("resnet18", 32, 64),
    "resnet50_128px_b16": ("resnet50", 128, 16),
    "resnet20_32px_b64": ("resnet20", 32, 64),
}
QUICK = ("resnet20_32px_b64",)
Step = Callable[[], float]


def network_for(name: str, pixels: int) -> Network:
    """Return a network for ten classes; ResNet-18 with a 3x3 stem and no pooling after it."""
    network = zoo.network(name, classes=10, input=(3, pixels, pixels))
    if name != "resnet18":
        return network
    layers = tuple(
        each.replace(kernel=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1)))
        if isinstance(each, design.Conv) and each.name == "conv1"
        else each
        for each in network.layers
    )
    return network.replace(layers=layers).without("maxpool")[0]


def step_of(net: nn.Module, images: Tensor, labels: Tensor) -> Step:
    """Return a call that takes one step and tells the loss."""
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    net.train()

    def step() -> float:
        optimiser.zero_grad()
        loss = functional.cross_entropy(net(images), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def contestants(network: Network, batch: int, quick: bool) -> tuple[dict[str, Step], engine.Plan]:
    """Return a step of each, ours first, and our plan."""
    torch.manual_seed(0)
    images = torch.randn(batch, *network.input_shape)
    labels = torch.arange(batch) % 10
    last = images.contiguous(memory_format=torch.channels_last)
    net = build(network)
    plan = engine.plan(network, batch=batch, direction="training")
    ours: Net = copy.deepcopy(net).to(memory_format=torch.channels_last)
    for name, algorithm in plan.algorithms.items():
        part = ours.get_submodule(name)
        if isinstance(part, Conv2d):
            part.algorithm = algorithm
    steps = {
        "ours": step_of(ours, last, labels),
        "eager": step_of(copy.deepcopy(net), images, labels),
        "eager_channels_last": step_of(
            copy.deepcopy(net).to(memory_format=torch.channels_last), last, labels
        ),
    }
    if not quick:
        compiled: Any = torch.compile(copy.deepcopy(net).to(memory_format=torch.channels_last))
        steps["compile"] = step_of(compiled, last, labels)
    return steps, plan


def measure(name: str, quick: bool, rounds: int) -> dict[str, Any]:
    """Return one row of the benchmark's document."""
    kind, pixels, batch = ROWS[name]
    steps, plan = contestants(network_for(kind, pixels), batch, quick)
    losses = {each: [step(), step()] for each, step in steps.items()}
    times: dict[str, list[float]] = {each: [] for each in steps}
    for _ in range(rounds):
        for each, step in steps.items():
            began = time.perf_counter()
            step()
            times[each].append(time.perf_counter() - began)
    medians = {each: statistics.median(taken) * 1e3 for each, taken in times.items()}
    best = min((each for each in medians if each != "ours"), key=medians.__getitem__)
    ratios = [theirs / mine for theirs, mine in zip(times[best], times["ours"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "name": name,
        "unit": "ms",
        "ours": round(medians["ours"], 2),
        "peers": {each: round(value, 2) for each, value in medians.items() if each != "ours"},
        "best_peer": best,
        "ratio": round(medians[best] / medians["ours"], 3),
        "interval": [round(low, 3), round(high, 3)],
        "rounds": rounds,
        "losses": losses,
        "algorithms": dict(sorted(plan.algorithms.items())),
    }


def main() -> None:
    """Measure every row and print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--quick", action="store_true", help="under a minute: one row, no compile")
    parser.add_argument("--only", nargs="*", choices=tuple(ROWS), help="these rows")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    keep_freed_memory()
    here = machine()
    document: dict[str, Any] = {
        "claim": "A planned training step on a CPU is faster than PyTorch's own.",
        "conditions": {
            "machine": here.cpu,
            "vector": here.vector,
            "threads": here.threads,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "dtype": "float32",
        },
        "rows": [],
    }
    for name in arguments.only or (QUICK if arguments.quick else ROWS):
        row = measure(name, arguments.quick, arguments.rounds)
        document["rows"].append(row)
        if not arguments.json:
            low, high = row["interval"]
            theirs = ", ".join(f"{peer} {value:.1f}" for peer, value in row["peers"].items())
            print(
                f"{name:20} ours {row['ours']:8.1f} ms  ratio {row['ratio']:.2f} "
                f"({low:.2f} to {high:.2f}) to {row['best_peer']}  [{theirs}]",
                flush=True,
            )
    if arguments.json:
        print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()

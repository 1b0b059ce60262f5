"""A training step on a CPU, planned, against PyTorch eager in both layouts and torch.compile.

A step is forward, cross-entropy, backward and SGD with momentum, on one batch that lies in memory.
Ours is the same step with each convolution computed as the measured plan says, forward and both
gradients, and batch-norms with the sums and rectifiers after them. Everybody has the same weights
at first, the same threads and float32; steps are interleaved, one of each a round, and the ratio is
that to the best peer of the row: of the medians, with the quartiles of the ratios of the rounds.
Losses of the first steps are compared.

    python benchmarks/train_step.py [--json] [--quick] [--rows resnet18_32px_b64 ...]
        [--results benchmarks/results/train_step_2cores_202611.json]
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from rounds import Document, alone, compared, interleaved, line, options
from torch import Tensor, nn
from torch.nn import functional

from striate import design, engine, zoo
from striate.design import Network
from striate.engine.memory import keep_freed_memory
from striate.layers import Conv2d, Net, build, fuse

ROWS = {  # name: network, pixels a side, batch
    "vgg11_32px_b64": ("vgg11", 32, 64),
    "vgg11_head_32px_b64": ("vgg11_head", 32, 64),
    "resnet18_32px_b64": ("resnet18", 32, 64),
    "resnet50_128px_b16": ("resnet50", 128, 16),
    "resnet20_32px_b64": ("resnet20", 32, 64),
}
QUICK = ("resnet20_32px_b64",)
Step = Callable[[], float]


def network_for(name: str, pixels: int) -> Network:
    """Return a network for ten classes as it is used at 32 pixels.

    ResNet-18 has a 3x3 stem and no pooling after it; VGG-11 one linear layer after its convolutions
    (`vgg11_head` has ImageNet's three, 129 million weights that convolutions cannot speed up).
    """
    network = zoo.network(name.removesuffix("_head"), classes=10, input=(3, pixels, pixels))
    if name == "vgg11":
        return with_one_linear(network)
    if name != "resnet18":
        return network
    layers = tuple(
        each.replace(kernel=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1)))
        if isinstance(each, design.Conv) and each.name == "conv1"
        else each
        for each in network.layers
    )
    return network.replace(layers=layers).without("maxpool")[0]


def with_one_linear(network: Network) -> Network:
    """Return a VGG whose features, a pixel at the end, go to the classes directly."""
    last = network.layers[-1]
    kept = [each for each in network.layers if each.name.startswith("features")]
    flat = next(each for each in network.layers if isinstance(each, design.Flatten))
    tail = (flat.replace(inputs=(kept[-1].name,)), last.replace(inputs=(flat.name,)))
    return network.replace(layers=(*kept, *tail))


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
    fuse(ours)
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


def seeded(step: Step) -> list[float]:
    """Return the losses of two steps, with the same dropout for everybody."""
    torch.manual_seed(1)
    return [step(), step()]


def measure(name: str, quick: bool, rounds: int) -> dict[str, Any]:
    """Return one row of the benchmark's document."""
    kind, pixels, batch = ROWS[name]
    steps, plan = contestants(network_for(kind, pixels), batch, quick)
    losses = {each: seeded(step) for each, step in steps.items()}
    near = abs(losses["ours"][0] - losses["eager_channels_last"][0])
    return {
        "name": name,
        **compared(interleaved({each: alone(step) for each, step in steps.items()}, rounds)),
        "losses": losses,
        "agree": near < 1e-3 * losses["ours"][0],
        "algorithms": dict(sorted(plan.algorithms.items())),
    }


def main() -> None:
    """Measure every row and print the document."""
    arguments = options(__doc__, tuple(ROWS)).parse_args()
    keep_freed_memory()
    claim = "A planned training step on a CPU is faster than PyTorch's own."
    document = Document(claim, arguments)
    for name in arguments.rows or (QUICK if arguments.quick else ROWS):
        if document.has(name):
            continue
        document.add(measure(name, arguments.quick, arguments.rounds))
        if not arguments.json:
            print(line(document.content["rows"][-1]), flush=True)
    if arguments.json:
        print(document.text())


if __name__ == "__main__":
    main()

"""Your own nn.Module: its sheet, checks before training, a faster copy, and a look inside.

    python examples/own_module.py

Prints the sheet read off the module (a functional ReLU and a shortcut among it), the file written
for commands, what checks say before and after a mistake in its initialisation is mended, how far
the accelerated copy's answers are from its own, and where the page about it lies.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import striate
from striate import data, doctor, explain
from striate.contract import Class, Contract
from striate.weights import Weights


class Mine(nn.Module):
    """Two convolutions around a shortcut, as anybody would write them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3, padding=1)
        self.second = nn.Conv2d(32, 32, 3, padding=1)
        self.classes = nn.Linear(32 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, 10), of (n, 1, 8, 8)."""
        x = functional.relu(self.first(x))
        x = functional.relu(x + self.second(x))
        return self.classes(functional.max_pool2d(x, 2).flatten(1))


def complaints(net: nn.Module, images: Tensor, labels: Tensor) -> list[str]:
    """Return what the preflight does not let pass."""
    found = doctor.check_module(doctor.Subject(net, images, labels, classes=10), trainings=False)
    return [f"{each.check}: {each.meaning}" for each in found if each.verdict == "fail"]


def main(out: Path) -> list[str]:
    """Go through it; return what was found wrong before it was mended."""
    torch.manual_seed(0)
    samples = data.open("digits").parts["all"]
    levels = np.stack([samples.stored(k) for k in range(512)]).transpose(0, 3, 1, 2)
    images = (torch.from_numpy(levels).float() / 255 - 0.3) / 0.37
    labels = torch.from_numpy(samples.labels[:512])
    net = Mine()
    network = striate.describe(net, images, prove=True)  # recipes.make takes it as it is,
    network.save(out / "mine.json")  # and every command its file
    print(f"{striate.design.sheet(network)}\n\nstriate train digits --net {out / 'mine.json'}")
    nn.init.constant_(net.second.weight, 0.1)
    wrong = complaints(net, images, labels)
    net.second.reset_parameters()
    print(f"\nbefore: {'; '.join(wrong)}\nafter: {complaints(net, images, labels) or 'nothing'}")

    fast = striate.accelerate(net.eval(), images, plan="default")
    with torch.no_grad():
        apart = float((fast(images) - net(images)).abs().max())
    print(f"accelerated: {apart:.1e} from torch's answers, at most")

    Image.fromarray(levels[0, 0]).save(out / "digit.png")
    names = tuple(Class(id=str(k), label=str(k)) for k in range(10))
    contract = Contract(classes=names, channels="grey", size=(8, 8), mean=(0.3,), std=(0.37,))
    look = explain.Look(parts=("maps",), methods=("saliency", "integrated_gradients"))
    seen = explain.look_inside(Weights.of(net, contract), [out / "digit.png"], out=out, look=look)
    print(f"inside: {seen.page}")
    return wrong


if __name__ == "__main__":
    main(Path(mkdtemp()))

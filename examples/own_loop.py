"""Your own training loop, in plain PyTorch, with striate's probes and doctor beside it.

    python examples/own_loop.py [RATE]

The loop is yours; two lines are added to it: `watch.step(loss, labels)` after each step, and
`watch.validation(...)` after each epoch. It ends at the weights that it ends at without them. It
prints each finding as soon as its rule speaks (none at a rate of 0.05; try 30), and leaves a run
folder for `striate doctor RUN`, `striate history RUN` and `striate view RUN`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from striate import data, doctor

EPOCHS = 6


class Mine(nn.Module):
    """A convolution, functional rectifiers, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 32, 3, padding=1)
        self.hidden = nn.Linear(32 * 4 * 4, 64)
        self.classes = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, 10), of (n, 1, 8, 8)."""
        x = functional.max_pool2d(functional.relu(self.features(x)), 2).flatten(1)
        return self.classes(functional.relu(self.hidden(x)))


def main(folder: Path, rate: float = 0.05) -> tuple[doctor.Finding, ...]:
    """Train, watched; return what was found."""
    torch.manual_seed(0)
    samples = data.open("digits").parts["all"]
    levels = np.stack([samples.stored(k) for k in range(len(samples))]).transpose(0, 3, 1, 2)
    images, labels = torch.from_numpy(levels) / 255 - 0.3, torch.from_numpy(samples.labels)
    loader = DataLoader(TensorDataset(images[:1500], labels[:1500]), 32, shuffle=True)

    net = Mine()
    optimiser = torch.optim.SGD(net.parameters(), rate, momentum=0.9)
    with doctor.Watch(
        net, optimiser, folder, images=images[:32], steps=len(loader), epochs=EPOCHS, told=print
    ) as watch:
        for epoch in range(EPOCHS):
            for x, y in loader:
                loss = functional.cross_entropy(net(x), y)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                watch.step(loss, y)
            with torch.no_grad():
                outputs, right = net(images[1500:]), labels[1500:]
            accuracy = float((outputs.argmax(1) == right).float().mean())
            watch.validation(float(functional.cross_entropy(outputs, right)), accuracy, len(right))
            print(f"epoch {epoch + 1}: {accuracy:.1%}")
    return watch.findings()


if __name__ == "__main__":
    place = Path(mkdtemp()) / "mine"
    main(place, float(sys.argv[1]) if len(sys.argv) > 1 else 0.05)
    print(f"striate doctor {place}")

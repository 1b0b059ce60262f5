"""Noise with a pattern planted in it that decides the class, or with a mark in the corner."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from striate.contract import Contract
from striate.design import Sketch
from striate.inference import PixelNet
from striate.layers import Net, build

SHAPE = (1, 24, 24)
SIDE = 6


def network() -> Sketch:
    pen = Sketch("patches", SHAPE)
    pen.conv("conv1", 8, 3, padding=1)
    pen.relu("relu1")
    pen.max_pool("pool1", 2)
    for index in (2, 3):
        pen.conv(f"conv{index}", 16, 3, padding=1)
        pen.relu(f"relu{index}")
    pen.adaptive_avg_pool("gap")
    pen.flatten()
    pen.linear("fc", 3)
    return pen


def pattern(kind: int) -> np.ndarray:
    """A cross or a ring of 6x6."""
    lines = np.zeros((SIDE, SIDE))
    if kind:
        lines[[0, -1]] = lines[:, [0, -1]] = 1
    else:
        lines[2:4] = lines[:, 2:4] = 1
    return lines


def planted(
    count: int, seed: int, *, corner: bool = False, nothing: bool = False
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Noise with a cross (0) or a ring (1), or with nothing (2); or with a mark in the corner."""
    random = np.random.default_rng(seed)
    images = random.uniform(0.2, 0.6, (count, *SHAPE))
    labels = np.arange(count) % (3 if nothing else 2)
    places = random.integers(0, SHAPE[1] - SIDE + 1, (count, 2))
    for index, (row, column) in enumerate(places):
        if corner:
            images[index, 0, :3, :3] = 1.0 if labels[index] else images[index, 0, :3, :3]
        elif labels[index] < 2:
            shape = pattern(labels[index])
            window = images[index, 0, row : row + SIDE, column : column + SIDE]
            window[shape > 0] = 1.0
            window[shape == 0] = 0.0
    return torch.from_numpy(images).float(), torch.from_numpy(labels), places


def trained(contract: Contract, *, corner: bool = False, steps: int = 150) -> Net:
    net = build(network().finish(), seed=3)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    seen = PixelNet(net, contract)
    for step in range(steps):
        images, labels, _ = planted(48, step, corner=corner, nothing=not corner)
        loss = functional.cross_entropy(seen(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()

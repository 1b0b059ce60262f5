"""The Neocognitron: the paper's layers, and that a gradient trains it."""

from __future__ import annotations

import torch
from torch.nn import functional

from striate import zoo
from striate.layers import build


def test_cells_a_side() -> None:
    """16, 10, 8, 6, 2 and 1, in 24 planes: the figures of the paper's simulation."""
    shapes = zoo.network("neocognitron").shapes()
    layers = ("s1", "c1", "s2", "c2", "s3", "c3")
    assert [shapes[name][1] for name in layers] == [16, 10, 8, 6, 2, 1]
    assert {shapes[name][0] for name in layers} == {24}


def test_it_learns() -> None:
    """Four bars, anywhere on the retina."""
    stream = torch.Generator().manual_seed(0)
    images, labels = torch.zeros(64, 1, 16, 16), torch.arange(64) % 4
    for image, label in zip(images, labels, strict=True):
        row, column = (int(each) for each in torch.randint(3, 9, (2,), generator=stream))
        for step in range(6):
            across, down = ((step, 0), (0, step), (step, step), (step, 5 - step))[int(label)]
            image[0, row + down, column + across] = 1
    net = build(zoo.network("neocognitron", classes=4), seed=0)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.02)
    for _ in range(40):
        loss = functional.cross_entropy(net(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    accuracy = (net(images).argmax(1) == labels).float().mean()
    assert accuracy > 0.9

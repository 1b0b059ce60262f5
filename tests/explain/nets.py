"""Contracts and images for nets with random weights."""

from __future__ import annotations

import torch
from torch import Tensor

from striate.contract import Class, Contract


def contract_for(shape: tuple[int, int, int], classes: int, mean: float = 0.45) -> Contract:
    """A contract that normalises, so that a method which forgets it is found out."""
    channels = shape[0]
    return Contract(
        classes=tuple(Class(id=f"c{index}", label=f"c{index}") for index in range(classes)),
        channels="rgb" if channels == 3 else "grey",
        size=shape[1:],
        mean=tuple(mean + 0.02 * index for index in range(channels)),
        std=tuple(0.22 + 0.01 * index for index in range(channels)),
    )


def image_of(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

"""Nets with random weights, images and contracts for looking inside."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.explain.nets import contract_for, image_of
from torch import Tensor

from striate import zoo
from striate.contract import Contract
from striate.layers import Net, build


@pytest.fixture(scope="session")
def seen() -> Callable[..., tuple[Net, Contract, Tensor]]:
    """A named net in float64 (eval), its contract and an image of 8-bit range."""
    made: dict[tuple[str, tuple[int, int, int]], Net] = {}

    def make(
        name: str, shape: tuple[int, int, int], classes: int = 7
    ) -> tuple[Net, Contract, Tensor]:
        key = (name, shape)
        if key not in made:
            made[key] = build(zoo.network(name, classes=classes, input=shape), seed=1)
            made[key].double().eval()
        return made[key], contract_for(shape, classes), image_of(shape)

    return make

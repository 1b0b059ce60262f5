"""What is no module, and what is no example, is said in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import striate
from striate import zoo
from striate.errors import UsageError

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


@pytest.mark.parametrize("module", [3, None, [], lambda x: x, zoo.network("lenet")])
def test_what_is_no_module(module: Any) -> None:
    received = f"received {type(module).__name__}; a function goes into the forward"
    with pytest.raises(UsageError, match=f"Expected an nn.Module, a run folder.*{received}"):
        striate.accelerate(module, (3, 8, 8))


@pytest.mark.parametrize("example", [5, "3x16x16", {}, [], (0, 3), (3.5, 2, 2), torch.tensor(3.0)])
def test_what_is_no_example(example: Any) -> None:
    with pytest.raises(UsageError, match=r"such as \(3, 224, 224\).*received"):
        striate.accelerate(NET, example, plan="default")


def test_a_lazy_module_is_called_first() -> None:
    with pytest.raises(UsageError, match="received lazy ones: call it once"):
        striate.accelerate(nn.Sequential(nn.LazyLinear(3)), (5,), plan="default")


def test_what_a_program_is_called_with() -> None:
    fast = striate.accelerate(NET, (3, 8, 8), plan="default")
    with pytest.raises(UsageError, match="expected tensors, received int"):
        fast(5)
    with pytest.raises(UsageError, match=r"expected 1 inputs \(input\), received 0"):
        fast()

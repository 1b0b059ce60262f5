"""Programs hang on no default of torch, read signs that are only noted, keep their precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.engine.test_accelerate import shaken
from tests.ops.test_images import forget, fresh, other_sign
from torch import nn

from striate import design, engine, zoo
from striate.errors import UsageError
from striate.layers import build

__all__ = ["fresh"]

PLAN = {"rows": "packed", "tiles": "winograd_4x4", "single": "separable", "mixed": "separable"}


def network() -> design.Network:
    """Return one with steps of many kinds, each with memory of its own."""
    pen = design.Sketch("steps", (3, 16, 16))
    pen.conv("rows", 16, 3, padding=1)
    pen.put(design.ReLU(name="relu", inputs=("rows",)))
    pen.conv("tiles", 16, 3, padding=1)
    pen.add("sum", "tiles", "relu")
    pen.max_pool("pool", 3, stride=2)
    pen.batch_norm("norm")
    pen.conv("single", 16, 3, padding=1, groups=16)
    pen.conv("mixed", 24, 1)
    pen.adaptive_avg_pool("mean")
    return pen.finish()


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("plan", ["default", PLAN])
def test_torchs_default_dtype_changes_nothing(
    default: torch.dtype, plan: engine.Choice, fresh: None
) -> None:
    net, images = shaken(network()), torch.randn(3, 3, 16, 16)
    expected = engine.accelerate(net, plan=plan)(images)
    forget()
    torch.set_default_dtype(default)
    fast = engine.accelerate(net, plan=plan)
    for _ in range(3):  # the third call makes several steps as one
        assert torch.equal(fast(images), expected)
    torch.set_default_dtype(torch.float32)
    assert torch.equal(fast(images[:2]), expected[:2])
    assert torch.equal(engine.accelerate(net, plan=plan)(images), expected)


def test_nor_is_a_plan_measured_with_other_numbers(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.engine.planning.cache_folder", lambda: tmp_path)
    torch.set_default_dtype(torch.float64)
    for layer in engine.plan(network(), rounds=3).layers:
        assert all(1e-9 < each.relative_rms < 1e-5 for each in layer.candidates.values())


def test_a_net_is_float32_whatever_torchs_default(fresh: None) -> None:
    known = zoo.network("neocognitron")  # whose fixed filters are computed
    expected = build(known, seed=3).state_dict()
    torch.set_default_dtype(torch.float64)
    for name, tensor in build(known, seed=3).state_dict().items():
        assert tensor.dtype == expected[name].dtype and torch.equal(tensor, expected[name])


class Loose(nn.Module):
    """What is compared with its program, since torch computes a part."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.conv(x).flatten(1))


@pytest.mark.parametrize("make", [lambda: shaken(network()), lambda: Loose().eval()])
def test_nor_does_its_default_device(make: Callable[[], nn.Module]) -> None:
    module, images = make(), torch.randn(3, 3, 16, 16)
    with torch.device("meta"):
        fast = engine.accelerate(module, (3, 16, 16), plan="default")
        received = fast(images)
    with torch.no_grad():
        torch.testing.assert_close(received, module(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("plan", ["default", PLAN, {"rows": "winograd_4x4"}])
def test_a_sign_that_is_only_noted_is_read(plan: engine.Choice) -> None:
    net, images = shaken(network()), torch.randn(2, 3, 16, 16)
    expected = engine.accelerate(net, plan=plan)(images)
    net.rows.weight = nn.Parameter(other_sign(net.rows.weight.detach()))
    fast = engine.accelerate(net, plan=plan)
    for _ in range(3):
        assert torch.equal(fast(other_sign(images)), expected)


CONVERSIONS = {
    "double": lambda fast: fast.double(),
    "half": lambda fast: fast.half(),
    "to a dtype": lambda fast: fast.to(torch.bfloat16),
    "to a device": lambda fast: fast.to("meta"),
    "inside another module": lambda fast: nn.Sequential(fast).double(),
}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_program_keeps_its_precision(name: str) -> None:
    fast = engine.accelerate(shaken(network()), plan="default")
    with pytest.raises(UsageError, match="Convert the module that it was made from"):
        CONVERSIONS[name](fast)
    assert fast.float().cpu().to(torch.float32) is fast
    assert fast.to(memory_format=torch.channels_last) is fast

"""A program is an ordinary module: copied, saved, compiled, called by name."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate import engine, zoo
from striate.errors import UsageError, WeightsError
from striate.layers import build


class Scaled(nn.Module):
    """Squeeze and excitation, a transposed and a grouped convolution, functions of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.gate = nn.Conv2d(3, 8, 5, padding=2), nn.Conv2d(8, 8, 1)
        self.up = nn.ConvTranspose2d(8, 8, 3, groups=2)
        self.filters = nn.Parameter(torch.randn(8, 2, 3, 3))
        self.rows = nn.LSTM(8, 4, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x = torch.sigmoid(self.one(x))
        x = F.gelu(
            F.conv2d(self.up(x * self.gate(x.mean((2, 3), keepdim=True))), self.filters, groups=4)
        )
        rows, _ = self.rows(F.normalize(x).flatten(2).mT)
        return x, {"rows": rows.reshape(x.shape[0], -1), "flipped": x.flip(1)}


SMALL = {
    "sigmoid": nn.Sequential(nn.Conv2d(3, 8, 5), nn.Sigmoid()),
    "tanh": nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(1568, 3)),
    "scaled": Scaled(),
}


def fast_one(name: str, plan: engine.Choice = "default") -> engine.Program:
    return engine.accelerate(SMALL[name].eval(), (3, 16, 16), plan=plan)


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    x = torch.randn(3, 3, 16, 16)
    for _ in range(3):
        torch.testing.assert_close(one(x), other(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", SMALL)
def test_copies(name: str) -> None:
    fast = fast_one(name)
    assert_equal(copy.deepcopy(fast), fast)
    both = copy.deepcopy(nn.ModuleList([fast, fast]))
    assert both[0] is both[1]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("plan", ["default", "measure"])
def test_saves_and_loads(name: str, plan: engine.Choice) -> None:
    fast, file = fast_one(name, plan), io.BytesIO()
    assert_equal(pickle.loads(pickle.dumps(fast)), fast)
    torch.save({"net": fast}, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)["net"]
    assert_equal(again, fast)
    assert_equal(pickle.loads(pickle.dumps(again)), fast)
    assert again.algorithms == fast.algorithms and again.network == fast.network


LOAD = """
import sys, torch
fast = torch.load(sys.argv[1], weights_only=False)
x, y = torch.load(sys.argv[2])
assert torch.allclose(fast(x), y, atol=1e-6)
"""


def test_another_process_loads_it(tmp_path: Path) -> None:
    net = build(zoo.network("resnet20")).eval()
    fast, x = engine.accelerate(net, plan="default"), torch.randn(2, 3, 32, 32)
    torch.save(fast, tmp_path / "fast.pt")
    torch.save((x, fast(x)), tmp_path / "seen.pt")
    command = [sys.executable, "-c", LOAD, str(tmp_path / "fast.pt"), str(tmp_path / "seen.pt")]
    subprocess.run(command, check=True)


def test_what_is_saved_are_the_weights_it_has() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    fast = engine.accelerate(net, (3, 16, 16), plan="default")
    with torch.no_grad():
        net[0].weight.mul_(2)
    with pytest.raises(WeightsError, match=r"0\.weight has changed since\. Accelerate it again"):
        pickle.dumps(fast)
    copy.deepcopy(fast)(torch.randn(1, 3, 16, 16))


def test_compiles_by_being_left_alone() -> None:
    fast, x = fast_one("tanh"), torch.randn(2, 3, 16, 16)
    compiled = torch.compile(fast, backend="eager")
    around = torch.compile(nn.Sequential(nn.ReLU(), fast, nn.Tanh()), backend="eager")
    for _ in range(3):
        assert torch.equal(compiled(x), fast(x))
        assert torch.equal(around(x), fast(x.relu()).tanh())


def test_inputs_by_name() -> None:
    class Sum(nn.Module):
        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return left + 2 * right

    x, y = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    fast = engine.accelerate(Sum(), (x, y), plan="default")
    for given in (fast(left=x, right=y), fast(x, right=y), fast(right=y, left=x)):
        assert torch.equal(given, x + 2 * y)
    with pytest.raises(UsageError, match="expected the inputs right, received wrong"):
        fast(x, wrong=y)


def test_a_gradient_is_refused_not_lost() -> None:
    fast, x = fast_one("sigmoid"), torch.randn(1, 3, 16, 16, requires_grad=True)
    with pytest.raises(UsageError, match="without a gradient.*inference only"):
        fast(x)
    with torch.no_grad():
        assert not fast(x).requires_grad
    assert not list(fast.parameters()) and not fast.state_dict()

"""A program keeps the weights of the moment it was made, or says that they have changed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate import engine
from striate.engine.shared import Shared
from striate.errors import WeightsError


class Various(nn.Module):
    """One of each way that a weight takes."""

    def __init__(self, features: int = 16) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.two, self.single = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 1)
        self.deep, self.alone = nn.Conv2d(16, 16, 3, groups=16), nn.BatchNorm2d(16)
        self.up, self.slope = nn.ConvTranspose2d(16, 16, 2), nn.PReLU(16)
        self.scale = nn.Parameter(torch.rand(16, 1, 1))
        self.layer, self.last = nn.Linear(16, features), nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(F.relu(self.norm(self.one(x))))
        x = self.alone(torch.sigmoid(self.deep(self.single(x)))) * self.scale
        x = F.normalize(self.slope(self.up(x))) @ self.layer.weight[:16, :16].mean().expand(15, 15)
        return self.last(self.layer(x.mean((2, 3))))


@torch.no_grad()
def by_operators(tensor: Tensor) -> None:
    tensor.mul_(1.5)


def by_data(tensor: Tensor) -> None:
    tensor.data.mul_(1.5)


def by_numpy(tensor: Tensor) -> None:
    tensor.detach().numpy()[...] *= 1.5


@pytest.mark.parametrize("change", [by_operators, by_data, by_numpy])
@pytest.mark.parametrize("plan", ["default", "measure"])
def test_weights_that_change_afterwards_change_nothing(
    change: Callable[[Tensor], None], plan: engine.Choice
) -> None:
    net, x = Various().eval(), torch.randn(2, 3, 16, 16)
    fast = engine.accelerate(net, x, plan=plan)
    before = fast(x)
    for each in [*net.parameters(), net.norm.running_mean, net.alone.running_var]:
        change(each)
    assert torch.equal(fast(x), before)
    with torch.no_grad():
        assert not torch.allclose(net(x), before, atol=1e-3)
        torch.testing.assert_close(engine.accelerate(net, x, plan=plan)(x), net(x))


@pytest.mark.parametrize("change", [by_operators, by_data, by_numpy])
def test_large_linear_layers_are_shared_and_watched(change: Callable[[Tensor], None]) -> None:
    net, x = nn.Sequential(nn.Linear(16, 2100), nn.ReLU(), nn.Linear(2100, 2100)), torch.ones(1, 16)
    fast = engine.accelerate(net, x, plan="default")
    before = fast(x)
    change(net[0].weight)
    change(net[2].bias)
    assert torch.equal(fast(x), before)
    change(net[2].weight)
    with pytest.raises(WeightsError, match="weights changed since it was accelerated: accelerate"):
        fast(x)
    with torch.no_grad():
        torch.testing.assert_close(engine.accelerate(net, x, plan="default")(x), net(x))


def test_weights_put_in_the_place_of_others_change_nothing() -> None:
    net, x = nn.Sequential(nn.Linear(16, 2100), nn.Linear(2100, 2100)), torch.ones(1, 16)
    fast = engine.accelerate(net, x, plan="default")
    before = fast(x)
    net.load_state_dict({k: torch.zeros_like(v) for k, v in net.state_dict().items()}, assign=True)
    assert torch.equal(fast(x), before)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (4, 0), (300, 200), (8, 4, 3, 3), (1, 70_000)])
def test_what_is_watched_is_not_copied(shape: tuple[int, ...]) -> None:
    for tensor in (torch.randn(shape), torch.randn(shape).double()):
        watch = Shared(tensor)
        assert not watch.changed and watch._kept.numel() < 1000
        if tensor.numel():
            assert watch._sample.data_ptr() == tensor.data_ptr()
            tensor.data.mul_(2)
            assert watch.changed


def test_weights_with_channels_last_are_watched_too() -> None:
    weight = torch.full((8, 4, 3, 3), math.nan).to(memory_format=torch.channels_last)
    watch = Shared(weight)
    assert not watch.changed  # not a number is what it is
    weight.data.fill_(1)
    assert watch.changed
    with torch.inference_mode():
        kept = Shared(torch.ones(3))
        assert not kept.changed

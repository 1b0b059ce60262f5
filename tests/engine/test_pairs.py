"""Filters of single channels with the 1x1 filters after them: one node, three ways and one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate import design, layers
from striate.engine import accelerate, plan
from striate.engine.node import Graph, graph
from striate.engine.simplify import simplify


class Inverted(nn.Module):
    """Two blocks of MobileNetV2: expand, filter, project, add."""

    def __init__(self, slow: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, 2, 1)
        self.blocks = nn.ModuleList(self._block(slow) for _ in range(2))
        self.head = nn.Linear(12, 5)

    def _block(self, slow: type[nn.Module]) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(12, 40, 1, bias=False), nn.BatchNorm2d(40), slow()),
            *(nn.Conv2d(40, 40, 3, 1, 1, groups=40, bias=False), nn.BatchNorm2d(40), slow()),
            *(nn.Conv2d(40, 12, 1, bias=False), nn.BatchNorm2d(12)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x.mean((2, 3)))


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    made = Inverted()
    made.train()(torch.randn(8, 3, 20, 18))  # statistics that are not those of the beginning
    return made.eval()


def simplified(module: nn.Module) -> Graph:
    return simplify(graph(layers.build(layers.describe(module, (3, 20, 18)), parameters=module)))


def test_they_become_one_node(net: nn.Module) -> None:
    pairs = [each for each in simplified(net).nodes if each.first is not None]
    assert len(pairs) == 2
    first, last = pairs[0].parts
    assert isinstance(first.record, design.Conv) and first.record.groups == 40
    assert isinstance(first.activation, design.ReLU6) and pairs[0].residual is not None
    assert (first.shape, last.shapes, last.shape) == ((40, 10, 9), ((40, 10, 9),), (12, 10, 9))


def test_not_where_the_function_between_is_more_than_a_limit() -> None:
    assert not [each for each in simplified(Inverted(nn.SiLU).eval()).nodes if each.first]


@pytest.mark.parametrize("algorithm", ["default", "depthwise", "packed", "separable"])
def test_every_way_computes_the_same(net: nn.Module, algorithm: str) -> None:
    x = torch.randn(3, 3, 20, 18)
    pairs = [each.layers[0] for each in simplified(net).nodes if each.first is not None]
    program = accelerate(net, x, plan=dict.fromkeys(pairs, algorithm))
    torch.testing.assert_close(program(x), net(x), rtol=1e-4, atol=1e-5)
    assert ("Pair" in program.extra_repr()) == (algorithm == "separable")


def test_a_plan_measures_every_way(net: nn.Module) -> None:
    network = layers.describe(net, (3, 20, 18))
    found = plan(network, rounds=3, cached=False)
    pair = next(each for each in found.layers if "separable" in each.candidates)
    assert set(pair.candidates) == {"default", "depthwise", "packed", "separable"}
    assert all(each.relative_rms < 1e-6 for each in pair.candidates.values())
    memory = {name: each.workspace_bytes for name, each in pair.candidates.items()}
    assert memory["separable"] > 0 and memory["default"] == 4 * 40 * 10 * 9

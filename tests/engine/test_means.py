"""What 1x1 filters read: scaled, shifted, rectified, averaged; joined with them, and moved."""

from __future__ import annotations

import pytest
import torch
from tests.engine.test_accelerate import assert_same, shaken

from striate import design
from striate.engine import accelerate, plan
from striate.engine.node import Graph, Node, graph
from striate.engine.simplify import simplify
from striate.layers import Net


def dense(window: int = 2, stride: int = 2, padding: int = 0, *, ceil: bool = False) -> Net:
    """A dense layer and a transition."""
    pen = design.Sketch("dense", (12, 13, 14))
    pen.batch_norm("norm1", of="x")
    pen.relu("relu1")
    pen.conv("conv1", 24, 1, bias="none")
    pen.batch_norm("norm2")
    pen.relu("relu2")
    grown = pen.conv("conv2", 6, 3, padding=1, bias="none")
    pen.concat("concat", "x", grown)
    pen.batch_norm("norm")
    pen.relu("relu")
    pen.conv("conv", 10, 1)
    pen.avg_pool("pool", window, stride=stride, padding=padding, ceil=ceil)
    return shaken(pen.finish())


def found(net: Net) -> Graph:
    return simplify(graph(net))


def records(node: Node) -> list[str]:
    return [type(part.record).__name__ for part in node.parts]


def test_they_become_one_node() -> None:
    made = found(dense())
    assert [records(node) for node in made.nodes] == [
        ["Affine", "Conv"],
        ["Conv"],
        ["Concat"],
        ["Affine", "AvgPool", "Conv"],
    ]
    last = made.nodes[-1]
    assert last.layers == ["norm", "relu", "pool", "conv"] and made.outputs == (last.name,)
    assert [part.shape for part in last.parts] == [(18, 13, 14), (18, 6, 7), (10, 6, 7)]


@pytest.mark.parametrize(
    ("window", "stride", "padding", "ceil"),
    [(3, 2, 0, False), (2, 2, 1, False), (2, 2, 0, True), (3, 1, 1, False)],
)
def test_windows_that_overlap_or_leave_the_image_stay(
    window: int, stride: int, padding: int, ceil: bool
) -> None:
    net = dense(window, stride, padding, ceil=ceil)
    assert records(found(net).nodes[-1]) == ["AvgPool"]
    images = torch.randn(2, 12, 13, 14)
    assert_same(accelerate(net, images, plan="default"), net, images)


def test_a_function_between_filters_and_mean_keeps_their_order() -> None:
    pen = design.Sketch("bent", (12, 8, 8))
    pen.conv("conv", 10, 1)
    pen.relu("relu")
    pen.avg_pool("pool", 2)
    net = shaken(pen.finish())
    assert [records(node) for node in found(net).nodes] == [["Conv"], ["AvgPool"]]


@pytest.mark.parametrize("algorithm", ["default", "packed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_way_computes_the_same(algorithm: str, dtype: torch.dtype) -> None:
    net = dense().to(dtype)
    images = torch.randn(3, 12, 13, 14, dtype=dtype)
    program = accelerate(net, images, plan=dict.fromkeys(("conv1", "conv"), algorithm))
    for _ in range(3):  # as it is called at first, noted, and made again
        assert_same(program, net, images)
    assert_same(program, net, images[:1])
    one = dtype == torch.float32  # else torch's operators do everything, one after the other
    assert ("Chain" in program.extra_repr()) == (one and algorithm == "default")
    assert ("Affine" in program.extra_repr()) == (not one)
    clean = program(images)
    images[1, 3, 4, 5] = torch.nan
    spoilt = program(images)
    assert torch.equal(spoilt[[0, 2]], clean[[0, 2]]) and spoilt[1].isnan().any()


def test_a_plan_measures_every_way() -> None:
    layers = {each.name: each for each in plan(dense().network, rounds=3, cached=False).layers}
    assert set(layers) == {"conv1", "conv2", "conv"}
    for name, between in (("conv1", 12 * 13 * 14), ("conv", 18 * 13 * 14 + 18 * 6 * 7)):
        ways = layers[name].candidates
        assert set(ways) == {"default", "packed"}
        assert all(0 < each.relative_rms < 1e-6 for each in ways.values())
        assert ways["default"].workspace_bytes == 4 * between
        assert 0 < ways["packed"].workspace_bytes < 1 << 20

"""Probes: figures by hand, no trace in the weights, and where they stand in the history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from striate import runs, train
from striate.design import Network, Sketch
from striate.design.pointwise import Sigmoid
from striate.errors import NotFiniteError
from striate.layers import build
from striate.train.optimiser import Stepper
from striate.train.probes import EVERY, Probes


def network() -> Network:
    pen = Sketch("watched", (1, 4, 4))
    pen.conv("conv1", 3, 3)
    pen.batch_norm("norm1")
    pen.relu("relu1")
    pen.flatten()
    pen.linear("classifier", 2)
    return pen.finish()


def test_figures_by_hand() -> None:
    net = build(network(), seed=0).train()
    stepper = Stepper(train.SGD(rate=0.001, momentum=0.0), network(), net, False)
    watch, images = Probes(net, stepper.parameters), torch.randn(8, 1, 4, 4)
    with torch.no_grad():
        net.norm1.bias[1] = -100.0  # its feature is dead
    for number in (1, 2, 10):
        before = net.conv1.weight.detach().clone()
        running = net.norm1.running_mean.clone()
        with watch.over(number):
            stepper.torch.zero_grad()
            net(images).square().sum().backward()
            stepper.set_rate(1.0)
            stepper.torch.step()
        seen = watch.seen()
        assert (seen is None) == (number == 2) and watch.seen() is None
    assert seen is not None
    weights = seen["weights"]["conv1.weight"]
    assert weights["size"] == pytest.approx(float(net.conv1.weight.detach().norm()), rel=1e-5)
    assert net.conv1.weight.grad is not None
    assert weights["gradient"] == pytest.approx(float(net.conv1.weight.grad.norm()), rel=1e-5)
    moved = float((net.conv1.weight.detach() - before).norm())
    assert weights["update"] == pytest.approx(moved, rel=1e-4)
    assert seen["values"]["relu1"]["dead"] == pytest.approx(1 / 3)
    assert seen["values"]["relu1"]["spread"] > 0
    assert seen["norms"]["norm1"] > 0 and not torch.equal(running, net.norm1.running_mean)
    assert 0 <= seen["waiting"] <= 1
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(("value", "share"), [(0.1, 0.0), (50.0, 1.0)])
def test_saturation(value: float, share: float) -> None:
    pen = Sketch("squashed", (1, 4, 4))
    pen.conv("conv1", 1, 1)
    pen.put(Sigmoid(name="squash", inputs=(pen.last,)))
    pen.flatten()
    pen.linear("classifier", 2)
    net = build(pen.finish(), seed=0).train()
    stepper = Stepper(train.SGD(rate=1e-9, momentum=0.0), pen.finish(), net, False)
    watch = Probes(net, stepper.parameters)
    with torch.no_grad():
        net.conv1.weight.fill_(1.0)
        net.conv1.bias.zero_()
    with watch.over(1):
        net(torch.full((2, 1, 4, 4), value)).sum().backward()
    seen = watch.seen()
    assert seen is not None and seen["values"]["squash"]["saturated"] == share


def test_a_failing_step_leaves_no_hook() -> None:
    net = build(network(), seed=0)
    watch = Probes(net, Stepper(train.SGD(), network(), net, False).parameters)
    with pytest.raises(KeyError), watch.over(EVERY):
        raise KeyError
    assert not any(module._forward_hooks for module in net.modules())
    assert watch.seen() is None


def test_a_run_has_probes_and_replays_without_them(
    make_recipe: Callable[..., Any], tmp_path: Path
) -> None:
    result = train.train(make_recipe(epochs=2), out=tmp_path / "run")
    run = runs.open(result.run)
    probes = [line for line in run.history("probe") if line["probe"] == "layers"]
    assert [line["step"] for line in probes] == [1, 5, 10]
    assert probes[0]["weights"].keys() == {"conv1.weight", "classifier.weight"}
    assert probes[2]["norms"].keys() == {"norm1"}
    assert train.replay(run.path, 1, 10).identical


def test_a_gradient_too_large_to_be_summed_up_has_a_layer() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    stepper: Any = SimpleNamespace(parameters=dict(net.named_parameters()))
    for name, parameter in net.named_parameters():
        parameter.grad = torch.full_like(parameter, 1e30 if name == "1.weight" else 1e20)
    assert Probes(net, stepper.parameters).blame(torch.ones(2, 4)) == "1"
    net[0].weight.grad = torch.full((4, 4), torch.inf)
    assert Probes(net, stepper.parameters).blame(torch.ones(2, 4)) == "0"


def test_the_first_layer_that_is_not_finite_is_blamed(
    make_recipe: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(NotFiniteError):
        train.train(make_recipe(optimiser=train.SGD(rate=1e30)), out=tmp_path / "run")
    (event,) = [
        line
        for line in runs.open(tmp_path / "run").history("event")
        if line["event"] == "not finite"
    ]
    assert event["at"] >= 2 and event["layer"] in ("conv1", "norm1", "classifier")
    assert event["text"].startswith(f"Step {event['at']}: the")

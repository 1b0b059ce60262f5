"""Groups and multipliers, and updates against formulas written out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from striate import train
from striate.design import Network, Sketch
from striate.errors import RecordError
from striate.layers import build
from striate.records import decode
from striate.train.optimiser import Stepper


@pytest.fixture
def network() -> Network:
    pen = Sketch("n", (1, 4, 4))
    pen.conv("conv1", 2, 3)
    pen.batch_norm("norm1")
    pen.flatten()
    pen.linear("classifier", 3)
    return pen.finish()


def changed(network: Network, name: str, **changes: Any) -> Network:
    layers = [each.replace(**changes) if each.name == name else each for each in network.layers]
    return network.replace(layers=tuple(layers))


def groups(stepper: Stepper) -> dict[str, tuple[float, float]]:
    """Return (learning rate, weight decay) of each parameter."""
    names = {id(tensor): name for name, tensor in stepper.parameters.items()}
    return {
        names[id(tensor)]: (group["lr"], group["weight_decay"])
        for group in stepper.torch.param_groups
        for tensor in group["params"]
    }


def test_decay_spares_norms_and_biases_unless_told(network: Network) -> None:
    record = train.SGD(rate=0.1, decay=0.01)
    spared = groups(Stepper(record, network, build(network), False))
    assert {name for name, (_, decay) in spared.items() if decay} == {
        "conv1.weight",
        "classifier.weight",
    }
    every = groups(Stepper(record, network, build(network), True))
    assert {decay for _, decay in every.values()} == {0.01}


def test_multipliers_are_those_of_the_record(network: Network) -> None:
    slow = changed(network, "conv1", rates=(0.5, 2.0), decays=(3.0, 0.0))
    stepper = Stepper(train.SGD(rate=0.1, decay=0.01), slow, build(slow), True)
    assert stepper.set_rate(0.5) == pytest.approx(0.05)
    found = groups(stepper)
    assert found["conv1.weight"] == pytest.approx((0.025, 0.03))
    assert found["conv1.bias"] == pytest.approx((0.1, 0.0))
    assert found["classifier.weight"] == pytest.approx((0.05, 0.01))


def test_frozen_layers_get_no_gradient_and_no_state(network: Network) -> None:
    frozen = changed(network, "conv1", trainable=False)
    net = build(frozen)
    stepper = Stepper(train.AdamW(), frozen, net, False)
    net(torch.randn(4, 1, 4, 4)).sum().backward()
    stepper.torch.step()
    assert dict(net.named_parameters())["conv1.weight"].grad is None
    assert not any(name.startswith("conv1") for name in stepper.state())
    assert any(name.startswith("classifier.weight/exp_avg") for name in stepper.state())


def one_step(record: train.Optimiser, network: Network, count: int) -> tuple[Any, Any, Any]:
    """Return a weight before and after `count` steps of a constant gradient, and the gradient."""
    net = build(network)
    stepper = Stepper(record, network, net, False)
    weight = stepper.parameters["classifier.weight"]
    before, gradient = weight.detach().double().clone(), torch.randn_like(weight)
    for _ in range(count):
        for parameter in stepper.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        weight.grad = gradient.clone()
        stepper.set_rate(1.0)
        stepper.torch.step()
    return before, weight.detach().double(), gradient.double()


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_by_hand(network: Network, nesterov: bool) -> None:
    record = train.SGD(rate=0.1, momentum=0.9, decay=0.01, nesterov=nesterov)
    weight, after, gradient = one_step(record, network, 3)
    velocity = torch.zeros_like(weight)
    for step in range(3):
        g = gradient + 0.01 * weight
        velocity = 0.9 * velocity + g if step else g
        weight = weight - 0.1 * (g + 0.9 * velocity if nesterov else velocity)
    torch.testing.assert_close(after, weight, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_by_hand(network: Network, decoupled: bool) -> None:
    kind = train.AdamW if decoupled else train.Adam
    weight, after, gradient = one_step(kind(rate=0.01, decay=0.1), network, 3)
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    for step in range(1, 4):
        g = gradient if decoupled else gradient + 0.1 * weight
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        move = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        weight = weight * (1 - 0.01 * 0.1) - 0.01 * move if decoupled else weight - 0.01 * move
    torch.testing.assert_close(after, weight, rtol=1e-5, atol=1e-6)


def test_state_goes_by_name_and_keeps_the_memory_layout(network: Network) -> None:
    first, second = build(network), build(network)
    for net in (first, second):
        net.to(memory_format=torch.channels_last)
    ours = Stepper(train.AdamW(), network, first, False)
    theirs = Stepper(train.AdamW(), network, second, False)
    first(torch.randn(4, 1, 4, 4)).sum().backward()
    ours.torch.step()
    theirs.restore({name: value.contiguous() for name, value in ours.state().items()})
    assert {name: value.tolist() for name, value in theirs.state().items()} == {
        name: value.tolist() for name, value in ours.state().items()
    }
    for name, value in theirs.state().items():
        assert value.stride() == ours.state()[name].stride()
    assert Stepper(train.AdamW(), network, build(network), False).state() == {}


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(RecordError, match="positive momentum with nesterov"):
        decode(train.Optimiser, {"kind": "sgd", "momentum": 0.0, "nesterov": True})

"""AdaGrad and RMSProp by hand, L-BFGS and Muon against torch's own; all resume from their state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from striate import train
from striate.design import Network, Sketch
from striate.design.forecast import forecast
from striate.errors import RecordError
from striate.layers import build
from striate.records import decode, kinds
from striate.train.muon import orthogonal
from striate.train.optimiser import Stepper


@pytest.fixture
def network() -> Network:
    pen = Sketch("n", (1, 6, 6))
    pen.conv("conv1", 4, 3)
    pen.relu("relu1")
    pen.flatten()
    pen.linear("classifier", 3)
    return pen.finish()


Loss = Callable[[], torch.Tensor]


def stepping(record: train.Optimiser, network: Network) -> tuple[Stepper, Loss]:
    net = build(network, seed=1).double()
    images = torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(2)).double()
    labels = torch.arange(32) % 3
    return Stepper(record, network, net, False), lambda: functional.cross_entropy(
        net(images), labels
    )


def step(stepper: Stepper, loss: Loss) -> float:
    stepper.torch.zero_grad()
    value = loss()
    value.backward()
    stepper.set_rate(1.0)
    stepper.torch.step()
    return float(value.detach())


def constant_steps(record: train.Optimiser, network: Network) -> tuple[torch.Tensor, ...]:
    stepper, _ = stepping(record, network)
    weight = stepper.parameters["classifier.weight"]
    before, gradient = weight.detach().clone(), torch.randn_like(weight)
    for sign in (1.0, -0.5, 2.0):
        for parameter in stepper.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        weight.grad = sign * gradient
        stepper.set_rate(1.0)
        stepper.torch.step()
    return before, weight.detach(), gradient


def test_adagrad_by_hand(network: Network) -> None:
    w, after, gradient = constant_steps(train.AdaGrad(rate=0.1, decay=0.01), network)
    total = torch.zeros_like(w)
    for sign in (1.0, -0.5, 2.0):
        g = sign * gradient + 0.01 * w
        total = total + g**2
        w = w - 0.1 * g / (total.sqrt() + 1e-10)
    torch.testing.assert_close(after, w)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_by_hand(network: Network, momentum: float) -> None:
    record = train.RMSProp(rate=0.1, decay=0.01, smoothing=0.8, momentum=momentum)
    w, after, gradient = constant_steps(record, network)
    mean, velocity = torch.zeros_like(w), torch.zeros_like(w)
    for sign in (1.0, -0.5, 2.0):
        g = sign * gradient + 0.01 * w
        mean = 0.8 * mean + 0.2 * g**2
        velocity = momentum * velocity + g / (mean.sqrt() + 1e-8)
        w = w - 0.1 * velocity
    torch.testing.assert_close(after, w)


def test_lbfgs_is_torchs_without_line_search(network: Network) -> None:
    stepper, loss = stepping(train.LBFGS(rate=0.3, history=3), network)
    other, their_loss = stepping(train.SGD(), network)
    theirs = torch.optim.LBFGS(
        other.parameters.values(), lr=0.3, max_iter=1, history_size=3, tolerance_change=0.0
    )

    def closure() -> torch.Tensor:
        theirs.zero_grad()
        value = their_loss()
        value.backward()
        return value

    for _ in range(8):
        step(stepper, loss)
        theirs.step(closure)  # type: ignore[no-untyped-call]
    for mine, other_parameter in zip(
        stepper.parameters.values(), other.parameters.values(), strict=True
    ):
        torch.testing.assert_close(mine, other_parameter, rtol=1e-9, atol=1e-12)


def test_lbfgs_fits_small_data_far_better_than_descent(network: Network) -> None:
    stepper, loss = stepping(train.LBFGS(rate=0.5), network)
    plain, plain_loss = stepping(train.SGD(rate=0.5, momentum=0.0), network)
    for _ in range(60):
        step(stepper, loss)
        step(plain, plain_loss)
    assert float(loss().detach()) < 0.1 * float(plain_loss().detach())


def test_orthogonal_keeps_directions_and_evens_their_lengths() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((6, 40), (40, 6)):
        matrix = torch.randn(shape, generator=generator, dtype=torch.float64)
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        cross = left.T @ orthogonal(matrix) @ right.T
        assert 0.6 < float(cross.diagonal().min()) and float(cross.diagonal().max()) < 1.25
        assert float((cross - cross.diagonal().diag()).abs().max()) < 1e-10
    assert not orthogonal(torch.zeros(3, 4)).any()


def test_muon_on_filters_is_torchs_on_matrices(network: Network) -> None:
    record = train.Muon(rate=0.05, momentum=0.9, decay=0.1)
    stepper, loss = stepping(record, network)
    weight = stepper.parameters["conv1.weight"]
    matrix = torch.nn.Parameter(weight.detach().clone().reshape(4, 9))
    theirs = torch.optim.Muon([matrix], lr=0.05, momentum=0.9, weight_decay=0.1)
    start = weight.detach().clone()
    for _ in range(4):
        step(stepper, loss)
        matrix.grad = weight.grad.reshape(4, 9) if weight.grad is not None else None
        theirs.step()
    ours = (weight.detach() - start).reshape(4, 9)
    other = matrix.detach() - start.reshape(4, 9)
    assert float((ours - other).norm() / other.norm()) < 0.02  # theirs computes in bfloat16


def test_muon_leaves_the_rest_to_adamw(network: Network) -> None:
    record = train.Muon(rate=0.1, others=0.05, decay=0.02, betas=(0.9, 0.999))
    w, after, gradient = constant_steps(record, network)
    parameter = torch.nn.Parameter(w.clone())
    adamw = torch.optim.AdamW([parameter], lr=0.005, betas=(0.9, 0.999), weight_decay=0.02)
    for sign in (1.0, -0.5, 2.0):
        parameter.grad = sign * gradient
        adamw.step()
    torch.testing.assert_close(after, parameter.detach())


@pytest.mark.parametrize("kind", sorted(kinds(train.Optimiser)))
def test_every_optimiser_goes_on_from_its_saved_state(network: Network, kind: str) -> None:
    record = decode(train.Optimiser, {"kind": kind})
    first, first_loss = stepping(record, network)
    for _ in range(3):
        step(first, first_loss)
    second, second_loss = stepping(record, network)
    with torch.no_grad():
        for name, parameter in second.parameters.items():
            parameter.copy_(first.parameters[name])
    second.restore({name: value.clone() for name, value in first.state().items()})
    for _ in range(3):
        assert step(first, first_loss) == step(second, second_loss)
    kept = sum(value.numel() for name, value in first.state().items() if not name.endswith("step"))
    weights = network.parameter_count()
    assert forecast(network, batch=1, optimiser=record.name).state >= 4 * min(kept, 22 * weights)


@pytest.mark.parametrize("kind", sorted(kinds(train.Optimiser)))
def test_every_optimiser_learns(network: Network, kind: str) -> None:
    stepper, loss = stepping(decode(train.Optimiser, {"kind": kind}), network)
    before = float(loss().detach())
    for _ in range(20):
        step(stepper, loss)
    assert float(loss().detach()) < before


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"kind": "lbfgs", "history": 0}, "history of at least 1 pair"),
        ({"kind": "muon", "momentum": 1.0}, "0 <= momentum < 1"),
        ({"kind": "rmsprop", "smoothing": 1.0}, "0 <= smoothing < 1"),
        ({"kind": "adagrad", "epsilon": 0.0}, "epsilon above 0"),
    ],
)
def test_values_have_bounds(document: dict[str, object], said: str) -> None:
    with pytest.raises(RecordError, match=said):
        decode(train.Optimiser, document)

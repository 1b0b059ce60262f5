"""Losses against torch's own where it has them, and by hand where it has not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch.nn import functional

from striate import train
from striate.design import Network
from striate.errors import ContractError, RecordError, UsageError
from striate.records import decode
from striate.train.processes import Processes

ALONE = Processes(0, 1, torch.device("cpu"))
LABELS = torch.tensor([0, 2, 1, 1, 2])
WEIGHTS = (0.5, 2.0, 1.5)


@pytest.fixture
def outputs() -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(4)).mul(2).requires_grad_()


def loss_of(objective: train.Objective, network: Network, outputs: torch.Tensor) -> torch.Tensor:
    rows = train.Rows(outputs, LABELS, 0, (1, 0), 0, ALONE)
    return objective.loss(lambda images: images, network, rows)


def focal(y: torch.Tensor, gamma: float, weights: tuple[float, ...]) -> torch.Tensor:
    p = y.softmax(1)[torch.arange(5), LABELS]
    return (torch.tensor(weights)[LABELS] * -((1 - p) ** gamma) * p.log()).sum()


ORACLES: list[tuple[train.Objective, Callable[[torch.Tensor], torch.Tensor]]] = [
    (
        train.SquareLoss(height=3.0),
        lambda y: 0.5 * functional.mse_loss(y, 3.0 * torch.eye(3)[LABELS], reduction="sum"),
    ),
    (
        train.Hinge(margin=1.5),
        lambda y: 3 * functional.multi_margin_loss(y, LABELS, margin=1.5, reduction="sum"),
    ),
    (
        train.Hinge(squared=True),
        lambda y: 3 * functional.multi_margin_loss(y, LABELS, p=2, reduction="sum"),
    ),
    (
        train.WeightedCrossEntropy(weights=WEIGHTS),
        lambda y: functional.cross_entropy(y, LABELS, torch.tensor(WEIGHTS), reduction="sum"),
    ),
    (
        train.WeightedCrossEntropy(),
        lambda y: functional.cross_entropy(y, LABELS, reduction="sum"),
    ),
    (train.Focal(gamma=0.0), lambda y: functional.cross_entropy(y, LABELS, reduction="sum")),
    (train.Focal(gamma=2.0, weights=WEIGHTS), lambda y: focal(y, 2.0, WEIGHTS)),
]


@pytest.mark.parametrize(("objective", "oracle"), ORACLES)
def test_value_and_gradient(
    objective: train.Objective,
    oracle: Callable[[torch.Tensor], torch.Tensor],
    outputs: torch.Tensor,
    make_network: Callable[..., Network],
) -> None:
    ours, theirs = loss_of(objective, make_network(), outputs), oracle(outputs)
    torch.testing.assert_close(ours, theirs)
    mine, other = torch.autograd.grad(ours, outputs), torch.autograd.grad(theirs, outputs)
    torch.testing.assert_close(mine, other)


def test_focal_is_finite_where_nothing_is_left_to_learn(
    make_network: Callable[..., Network],
) -> None:
    y = (1000.0 * torch.eye(3)[LABELS]).requires_grad_()
    loss = loss_of(train.Focal(gamma=0.5), make_network(), y)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-9)
    assert y.grad is not None and bool(y.grad.isfinite().all())


@given(some.lists(some.integers(1, 10_000), min_size=1, max_size=20), some.floats(0, 1))
def test_balanced_weights_keep_the_scale_and_favour_the_rare(
    counts: list[int], beta: float
) -> None:
    weights = train.balanced_weights(counts, beta)
    mean = sum(w * n for w, n in zip(weights, counts, strict=True)) / sum(counts)
    assert mean == pytest.approx(1)
    for a, m in zip(weights, counts, strict=True):
        for b, n in zip(weights, counts, strict=True):
            assert m > n or a >= b * (1 - 1e-9)
    if beta == 1:
        shares = [w * n for w, n in zip(weights, counts, strict=True)]
        assert shares == pytest.approx([shares[0]] * len(shares))


def test_mistakes_are_said() -> None:
    with pytest.raises(UsageError, match=r"at least one image of each class, received \(3, 0\)"):
        train.balanced_weights([3, 0])
    with pytest.raises(ContractError, match="one weight for each of 10 classes"):
        train.Focal(weights=WEIGHTS).check(10)
    with pytest.raises(RecordError, match="a margin above 0"):
        decode(train.Objective, {"kind": "hinge", "margin": 0.0})


def test_weights_are_checked_before_training(make_recipe: Callable[..., train.Recipe]) -> None:
    from striate.train.prepare import prepare

    with pytest.raises(ContractError, match="one weight for each of 10 classes, received 3"):
        prepare(make_recipe(objective=train.WeightedCrossEntropy(weights=WEIGHTS)))

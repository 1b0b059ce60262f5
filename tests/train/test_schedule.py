"""Schedules against hand-computed values and torch's own schedulers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from striate import train
from striate.train.schedule import Course
from striate.train.validation import Validation


def course(schedule: train.Schedule, epochs: int = 10, steps: int = 4, warmup: float = 0) -> Course:
    return Course(schedule, steps, epochs, warmup)


@pytest.mark.parametrize(
    ("schedule", "by_step"),
    [
        (train.Constant(), {0: 1.0, 39: 1.0}),
        (train.Step(at=(2.0, 5.5), drop=0.1), {7: 1.0, 8: 0.1, 21: 0.1, 22: 0.01, 39: 0.01}),
        (train.Exponential(gamma=0.5), {0: 1.0, 4: 0.5, 6: 0.5**1.5, 8: 0.25}),
        (train.InverseTime(k=0.5), {0: 1.0, 4: 1 / 1.5, 8: 0.5, 24: 0.25}),
        (train.Linear(final=0.2), {0: 1.0, 10: 0.8, 20: 0.6, 30: 0.4}),
        (train.Cosine(), {0: 1.0, 10: (1 + math.sqrt(0.5)) / 2, 20: 0.5}),
        (train.Cosine(final=0.5), {0: 1.0, 20: 0.75}),
        (train.Polynomial(power=0.5), {0: 1.0, 30: 0.5}),
        (train.Restarts(first=2, growth=1.5, final=0.5), {0: 1, 4: 0.75, 8: 1, 14: 0.75, 20: 1}),
        (train.Triangle(half=2, low=0.2), {0: 0.2, 4: 0.6, 8: 1.0, 12: 0.6, 16: 0.2, 24: 1.0}),
        (train.OneCycle(rise=0.5, start=0.2, final=0.1), {0: 0.2, 10: 0.6, 20: 1.0, 30: 0.55}),
    ],
)
def test_values_by_hand(schedule: train.Schedule, by_step: dict[int, float]) -> None:
    for step, expected in by_step.items():
        assert course(schedule).factor(step) == pytest.approx(expected, rel=1e-12)


def torch_factors(make: Any, steps: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimiser)
    factors = []
    for _ in range(steps):
        factors.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return factors


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (
            train.Step(at=(2.0, 5.0)),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [8, 20], gamma=0.1),
        ),
        (
            train.Exponential(gamma=0.9**4),
            lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
        ),
        (train.Cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40)),
        (
            train.Linear(final=0.1),
            lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.1, total_iters=40),
        ),
        (
            train.Polynomial(power=2.0),
            lambda o: torch.optim.lr_scheduler.PolynomialLR(o, total_iters=40, power=2.0),
        ),
        (
            train.Restarts(first=1.5, growth=2, final=0.2),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 6, 2, 0.2),
        ),
        (
            train.Triangle(half=1.5, low=0.3),
            lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.3, 1.0, 6, cycle_momentum=False),
        ),
        (  # torch's ends one step earlier, and begins to fall one step after its share
            train.OneCycle(rise=0.25, start=0.1, final=0.01),
            lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o,
                1.0,
                total_steps=41,
                pct_start=11 / 41,
                div_factor=10,
                final_div_factor=10,
                cycle_momentum=False,
            ),
        ),
    ],
)
def test_agrees_with_torch(schedule: train.Schedule, make: Any) -> None:
    ours = [course(schedule).factor(step) for step in range(40)]
    assert ours == pytest.approx(torch_factors(make, 40), rel=1e-9)


@pytest.mark.parametrize("by", ["loss", "accuracy"])
def test_plateau_agrees_with_torch(by: str) -> None:
    generator = torch.Generator().manual_seed(3)
    figures = (torch.rand(60, generator=generator) * 0.4 + 0.3).tolist()
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, "min" if by == "loss" else "max", factor=0.1, patience=2, eps=0.0
    )
    ours = course(train.Plateau(by=by, patience=2), epochs=60)  # type: ignore[arg-type]
    validations: list[Validation] = []
    for epoch, figure in enumerate(figures, 1):
        validations.append(Validation(epoch=epoch, step=4 * epoch, loss=figure, accuracy=figure))
        theirs.step(figure)
        factor = ours.factor(4 * epoch, validations)
        assert factor == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)


def test_plateau_has_a_floor() -> None:
    flat = [Validation(epoch=e, step=e, loss=1.0, accuracy=0.5) for e in range(1, 50)]
    assert course(train.Plateau(patience=1, least=0.01)).factor(0, flat) == 0.01


def test_warmup_climbs_to_the_full_rate_and_the_schedule_starts_there() -> None:
    warm = course(train.Cosine(), warmup=2)
    assert [warm.factor(step) for step in range(8)] == pytest.approx([k / 8 for k in range(1, 9)])
    assert warm.factor(8) == 1.0
    assert warm.factor(24) == pytest.approx(0.5)


def test_a_warmup_of_part_of_an_epoch_and_one_longer_than_training() -> None:
    assert course(train.Constant(), warmup=0.5).factor(0) == 0.5
    assert course(train.Constant(), epochs=1, warmup=3).factor(3) == 1.0

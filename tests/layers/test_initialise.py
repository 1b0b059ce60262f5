"""Initial values: moments and bounds over a million draws, and torch's own variances."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from striate import design
from striate.design import Init, Sketch
from striate.design.init import Bilinear, UnitBall
from striate.layers import build


def drawn(init: Init, seed: int = 0) -> torch.Tensor:
    """Return a filter bank of 400 features of 50 channels and 7x7: 980,000 numbers."""
    pen = Sketch("one", (50, 7, 7), weight_init=init)
    pen.conv("conv", 400, 7)
    return build(pen.finish(), seed=seed).conv.weight.detach().double()


FAN_IN, FAN_OUT = 50 * 49, 400 * 49

DRAWS: list[tuple[Init, float, float | None]] = [  # record, deviation, bound
    (design.Normal(std=0.02), 0.02, None),
    (design.Uniform(bound=0.3), 0.3 / 3**0.5, 0.3),
    (design.FanInUniform(), (3 * FAN_IN) ** -0.5, FAN_IN**-0.5),
    (design.FanInUniform(gain=3**0.5), FAN_IN**-0.5, (3 / FAN_IN) ** 0.5),  # Caffe's xavier
    (design.He(), (2 / FAN_IN) ** 0.5, None),
    (design.He(fan="out"), (2 / FAN_OUT) ** 0.5, None),
    (design.Xavier(uniform=False), (2 / (FAN_IN + FAN_OUT)) ** 0.5, None),
    (
        design.Xavier(uniform=True),
        (2 / (FAN_IN + FAN_OUT)) ** 0.5,
        (6 / (FAN_IN + FAN_OUT)) ** 0.5,
    ),
]


@pytest.mark.parametrize(("init", "deviation", "bound"), DRAWS)
def test_moments(init: Init, deviation: float, bound: float | None) -> None:
    values = drawn(init)
    count = values.numel()
    assert abs(float(values.mean())) < 5 * deviation / count**0.5
    assert float(values.std()) == pytest.approx(deviation, rel=5 / count**0.5)
    kurtosis = float((values / deviation).pow(4).mean())
    assert kurtosis == pytest.approx(3.0 if bound is None else 1.8, rel=0.02)
    if bound is not None:
        assert 0.999 * bound < float(values.abs().max()) <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    ("init", "theirs"),
    [
        (design.He(), nn.init.kaiming_normal_),
        (design.Xavier(uniform=True), nn.init.xavier_uniform_),
        (design.Xavier(uniform=False), nn.init.xavier_normal_),
    ],
)
def test_the_spread_is_torchs(init: Init, theirs: object) -> None:
    ours, other = drawn(init), torch.empty(400, 50, 7, 7)
    theirs(other)  # type: ignore[operator]
    assert float(ours.std()) == pytest.approx(float(other.std()), rel=0.01)


def test_he_keeps_the_signal_through_relus_and_a_small_gaussian_does_not() -> None:
    """The lectures' lesson: ten layers of a fixed Gaussian of 0.01 leave nothing."""

    def spread(init: Init) -> float:
        pen = Sketch("deep", (256,), weight_init=init)
        for index in range(10):
            pen.linear(f"fc{index}", 256)
            pen.relu(f"relu{index}")
        net = build(pen.finish(), seed=0)
        for name, value in net.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(value)
        x = torch.randn(200, 256, generator=torch.Generator().manual_seed(1))
        return float(net(x).detach().std())

    assert 0.2 < spread(design.He()) < 2
    assert spread(design.Normal(std=0.01)) < 1e-5
    assert spread(design.Constant()) == 0.0


def test_zeros_leave_all_features_alike() -> None:
    """Why not zeros: the first layer has no gradient, and the last one's rows stay equal."""
    pen = Sketch("zero", (8,), weight_init=design.Constant())
    pen.linear("fc1", 6)
    pen.relu("act")
    pen.linear("fc2", 3)
    net = build(pen.finish(), seed=0)
    for name, value in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(value)
    net(torch.randn(5, 8)).square().sum().backward()
    assert net.fc1.weight.grad is None or not net.fc1.weight.grad.any()


def test_caffes_fillers() -> None:
    rows = drawn(UnitBall()).flatten(1)
    assert bool((rows >= 0).all()) and float((rows.sum(1) - 1).abs().max()) < 1e-4
    pen = Sketch("up", (1, 4, 4), weight_init=Bilinear())
    pen.conv("conv", 1, 4)
    window = build(pen.finish(), seed=0).conv.weight.detach()[0, 0]
    side = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(window, side[:, None] * side)
    image = torch.arange(16.0).view(1, 1, 4, 4)
    doubled = nn.functional.conv_transpose2d(image, window[None, None], stride=2, padding=1)
    theirs = nn.functional.interpolate(image, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(doubled[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1])
    assert math.isclose(float(window.sum()), 4.0)


def test_the_seed_and_the_name_decide() -> None:
    assert torch.equal(drawn(design.He(), 1), drawn(design.He(), 1))
    assert not torch.equal(drawn(design.He(), 1), drawn(design.He(), 2))

"""Dropout: the right statistics, and a mask that depends on the address alone."""

from __future__ import annotations

import pytest
import torch

from striate.layers.dropout import Dropout, Noise, placed_mask, placed_normal
from striate.layers.placement import current_placement, placement


def test_cut_batch_draws_the_same_rows() -> None:
    layer, x = Dropout(0.3, name="drop").train(), torch.ones(6, 8)
    with placement(seed=1, step=4, total=6):
        whole = layer(x)
    with placement(seed=1, step=4, total=6, offset=2):
        part = layer(x[2:5])
    assert torch.equal(whole[2:5], part)


def test_gradient_is_the_mask() -> None:
    x = torch.randn(4, 100, requires_grad=True)
    with placement(seed=1, step=2, total=4):
        y = Dropout(0.5, name="drop").train()(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad * x.detach(), y.detach())


def test_address_decides() -> None:
    x = torch.ones(4, 100)

    def draw(name: str, seed: int, step: int) -> torch.Tensor:
        with placement(seed=seed, step=step, total=4):
            return Dropout(0.5, name=name).train()(x)

    first = draw("a", 0, 0)
    assert torch.equal(first, draw("a", 0, 0))
    for other in (draw("b", 0, 0), draw("a", 1, 0), draw("a", 0, 1)):
        assert not torch.equal(first, other)
    assert current_placement() is None


def test_mean_is_kept() -> None:
    with placement(seed=0, step=0, total=1000):
        y = Dropout(0.2, name="d").train()(torch.ones(1000, 1000))
    assert abs(float(y.mean()) - 1) < 0.003
    assert set(y.unique().tolist()) == {0.0, 1.25}
    assert torch.equal(Dropout(0.2).eval()(y), y)


def test_the_mask_is_an_operator_that_compilers_understand() -> None:
    for x in (torch.ones(3, 8), torch.ones(3, 2, 4, 4, dtype=torch.bfloat16)):
        with placement(seed=0, step=0, total=5, offset=1):
            mask = torch.ops.striate.placed_mask(x, 0.5, "d")
            checks = ("test_schema", "test_faketensor")
            torch.library.opcheck(placed_mask, (x, 0.5, "d"), test_utils=checks)
        assert mask.shape == x.shape and mask.dtype == x.dtype
        assert set(mask.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize(
    ("layer", "mean", "variance", "evaluated"),
    [  # of x = 2, over a million draws
        (Dropout(0.3, name="d"), 2.0, 4 * 0.3 / 0.7, 2.0),
        (Noise("plain", 0.3, "d"), 1.4, 4 * 0.3 * 0.7, 1.4),
        (Noise("gaussian", 0.3, "d"), 2.0, 4 * 0.3 / 0.7, 2.0),
        (Noise("additive", 0.3, "d"), 2.0, 0.09, 2.0),
    ],
)
def test_statistics_of_every_form(
    layer: torch.nn.Module, mean: float, variance: float, evaluated: float, placed: bool
) -> None:
    """Inverted and Gaussian dropout agree in mean and variance; the plain form scales at test."""
    x, count = torch.full((1000, 1000), 2.0), 1e6
    torch.manual_seed(5)
    if placed:
        with placement(seed=0, step=0, total=1000):
            y = layer.train()(x).double()
    else:
        y = layer.train()(x).double()
    assert abs(float(y.mean()) - mean) < 5 * (variance / count) ** 0.5
    assert float(y.var()) == pytest.approx(variance, rel=0.01)
    assert float(layer.eval()(x).mean()) == pytest.approx(evaluated)


@pytest.mark.parametrize("form", ["plain", "gaussian", "additive"])
def test_noise_has_an_address_and_a_gradient(form: str) -> None:
    layer, x = Noise(form, 0.4, "n").train(), torch.ones(6, 8, requires_grad=True)
    with placement(seed=1, step=4, total=6):
        whole = layer(x)
    with placement(seed=1, step=4, total=6, offset=2):
        part = layer(x[2:5])
    assert torch.equal(whole[2:5], part)
    (slope,) = torch.autograd.grad(whole.sum(), x)
    expected = torch.ones_like(x) if form == "additive" else whole.detach()
    torch.testing.assert_close(slope, expected)


def test_normal_noise_is_an_operator_that_compilers_understand() -> None:
    x = torch.ones(3, 8)
    with placement(seed=0, step=0, total=5, offset=1):
        checks = ("test_schema", "test_faketensor")
        torch.library.opcheck(placed_normal, (x, "d"), test_utils=checks)

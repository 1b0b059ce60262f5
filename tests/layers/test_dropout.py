"""Dropout: the right statistics, and a mask that depends on the address alone."""

from __future__ import annotations

import torch

from striate.layers.dropout import Dropout, placed_mask
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

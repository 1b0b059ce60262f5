"""Filters of single channels and of one pixel, as one: against torch's two convolutions."""

from __future__ import annotations

import pytest
import torch
from tests.ops.problems import channel_slice
from torch import Tensor
from torch.nn import functional

from striate.ops import packed, separable, windows
from striate.ops.images import NO_LIMITS


def images(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


CASES = [  # batch, channels, features, size, kernel, stride, padding
    (2, 21, 70, (13, 12), (3, 3), (1, 1), ((1, 1), (1, 1))),
    (1, 16, 64, (7, 7), (3, 3), (1, 1), ((1, 1), (1, 1))),
    (3, 32, 5, (12, 9), (3, 3), (2, 2), ((0, 1), (0, 1))),
    (2, 40, 33, (6, 20), (5, 5), (1, 2), ((2, 2), (2, 2))),
    (1, 64, 200, (28, 28), (3, 3), (1, 1), ((1, 1), (1, 1))),
    (5, 8, 8, (1, 1), (3, 3), (1, 1), ((1, 1), (1, 1))),
]
LIMITS = [((0.0, 6.0), (0.0, 6.0)), ((0.0, torch.inf), NO_LIMITS)]


def two(x: Tensor, case: tuple, weights: tuple[Tensor, ...], between: Tensor) -> Tensor:
    (above, below), (left, right) = case[6]
    single, mixing, bias, shift = weights
    x = functional.pad(x, (left, right, above, below))
    y = functional.conv2d(x, single, shift, case[5], groups=x.shape[1])
    return functional.conv2d(y.clamp(*between), mixing, bias)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("between", "limits"), LIMITS)
def test_it_computes_what_two_convolutions_do(case: tuple, between: tuple, limits: tuple) -> None:
    batch, channels, features, size, kernel, stride, padding = case
    torch.manual_seed(0)
    x, single = images(batch, channels, *size), torch.randn(channels, 1, *kernel)
    mixing, bias, shift = (
        torch.randn(features, channels, 1, 1),
        torch.randn(features),
        torch.randn(channels),
    )
    plain = two(x, case, (single, mixing, bias, shift), between)
    residual = images(*plain.shape)
    expected = (plain + residual).clamp(*limits)
    run = separable.prepare(single, mixing, stride, padding, between=shift, cut=between)
    out = channel_slice(torch.zeros(plain.shape))
    y = run(x, bias=bias, residual=residual, limits=limits, out=out)
    assert y is out
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(run(channel_slice(x), bias=bias), plain, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 16, 8, 8), (2, 64, 40, 40), (1, 200, 6, 6)])
def test_threads_and_blocks_change_no_bit(shape: tuple[int, ...], threads: int) -> None:
    torch.manual_seed(2)
    x = images(*shape)
    single, mixing = torch.randn(shape[1], 1, 3, 3), torch.randn(200, shape[1], 1, 1)
    run = separable.prepare(single, mixing, (1, 1), ((1, 1), (1, 1)))
    apart = packed.prepare(mixing)(windows.prepare(single, (1, 1), ((1, 1), (1, 1)))(x))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(run(x), apart)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("lanes", "vectors"), [(4, 2), (8, 2)])
def test_narrower_vectors(monkeypatch: pytest.MonkeyPatch, lanes: int, vectors: int) -> None:
    """As machines with AVX2 and Arm would."""
    for module in (packed, windows, separable):
        monkeypatch.setattr(module, "registers", lambda: (lanes, vectors))
    case = CASES[0]
    torch.manual_seed(1)
    x, single, mixing = images(2, 21, 13, 12), torch.randn(21, 1, 3, 3), torch.randn(70, 21, 1, 1)
    run = separable.prepare(single, mixing, (1, 1), case[6])
    none = torch.zeros(21)
    expected = two(x, case, (single, mixing, torch.zeros(70), none), NO_LIMITS)
    torch.testing.assert_close(run(x), expected, rtol=1e-4, atol=1e-3)


def test_nothing_is_not_a_number() -> None:
    """What is outside the image, or not yet written, is never read."""
    x = images(3, 19, 5, 5)
    x[1] = torch.nan
    single, mixing = torch.randn(19, 1, 3, 3), torch.randn(23, 19, 1, 1)
    run = separable.prepare(single, mixing, (1, 1), ((1, 1), (1, 1)))
    clean = run(images(3, 19, 5, 5))
    assert clean.isfinite().all()
    y = run(x)
    assert y[[0, 2]].isfinite().all() and y[1].isnan().all()

"""Memory of kernels: float32 on the CPU whatever torch's defaults are, long enough, read as it is.

A kernel that is handed 2 or 8 bytes a number makes nonsense, or writes beyond their end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from striate.errors import UsageError
from striate.ops import ALGORITHMS, conv2d, images, packed, separable, windows, winograd

EVERY = sorted(set(ALGORITHMS) - {"direct", "reference"})


def forget() -> None:
    torch.set_default_dtype(torch.float32)
    images._zeros.cache_clear()
    windows._least.cache_clear()
    images.scratch.kept.clear()
    winograd._tapes._known.clear()


@pytest.fixture
def fresh() -> Iterator[None]:
    """Start and end with no memory kept, under torch's own defaults."""
    forget()
    yield
    forget()


def drawn(*shape: int) -> Tensor:
    source = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=source, dtype=torch.float32, device="cpu")


def answers(algorithm: str) -> list[Tensor]:
    """Return a result and its gradients; padding and odd sizes read zeros and write beyond."""
    single = algorithm == "depthwise"
    x, weight = drawn(2, 8, 9, 11), drawn(8, 1 if single else 8, 3, 3)
    given = [x.requires_grad_(), weight.requires_grad_(), drawn(8).requires_grad_()]
    y = conv2d(*given, padding=1, groups=8 if single else 1, algorithm=algorithm)
    gradient = drawn(*y.shape)
    return [y.detach(), *torch.autograd.grad(y, given, gradient)]


def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(one.dtype == other.dtype and torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("algorithm", EVERY)
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_torchs_default_dtype_changes_nothing(
    algorithm: str, default: torch.dtype, fresh: None
) -> None:
    expected = answers(algorithm)
    forget()
    torch.set_default_dtype(default)
    assert same(answers(algorithm), expected)
    torch.set_default_dtype(torch.float32)
    assert same(answers(algorithm), expected), "memory is kept that was made meanwhile"


@pytest.mark.parametrize("algorithm", EVERY)
def test_nor_does_its_default_device(algorithm: str, fresh: None) -> None:
    expected = answers(algorithm)
    forget()
    with torch.device("meta"):
        assert same(answers(algorithm), expected)


def other_sign(x: Tensor) -> Tensor:
    """Return the same values as what torch notes to be read with the other sign."""
    noted = torch.complex(torch.zeros_like(x), -x).conj().imag
    assert noted.is_neg() and torch.equal(noted, x)
    return noted


@pytest.mark.parametrize("algorithm", EVERY)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_sign_that_is_only_noted_is_read(algorithm: str, which: int) -> None:
    single = algorithm == "depthwise"
    given = [drawn(2, 8, 9, 11), drawn(8, 1 if single else 8, 3, 3), drawn(8)]
    settings: dict[str, Any] = {"groups": 8 if single else 1, "algorithm": algorithm}
    expected = conv2d(*given, **settings)
    given[which] = other_sign(given[which])
    assert torch.equal(conv2d(*given, **settings), expected)


@pytest.mark.parametrize("channels", [3, 24])  # 3 are read in whole rows
def test_prepared_filters_read_a_noted_sign(channels: int) -> None:
    x, weight, bias = drawn(2, channels, 7, 6), drawn(9, channels, 3, 3), drawn(9)
    expected = functional.conv2d(x, weight, bias)
    for prepare in (packed.prepare, winograd.prepare):
        y = prepare(other_sign(weight))(other_sign(x), bias=other_sign(bias))
        torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_memory_of_another_kind_or_too_short_is_refused() -> None:
    for memory in (torch.zeros(80, dtype=torch.float64), torch.zeros(80, device="meta")):
        with pytest.raises(UsageError, match=r"memory of 64 torch\.float32"):
            images.line(memory, 64)
    short = torch.zeros(80)[:64]
    assert short.data_ptr() % 64 == 0 and images.line(short, 64) == short.data_ptr()
    with pytest.raises(UsageError, match="received 63 of"):
        images.line(short[1:], 60)


@pytest.mark.parametrize("wrong", [torch.zeros(9, dtype=torch.float64), torch.zeros(8)])
def test_what_is_added_fits_the_result(wrong: Tensor) -> None:
    x, ones = drawn(2, 16, 7, 6), drawn(16, 1, 3, 3)
    runs = {
        "packed": packed.prepare(drawn(9, 16, 1, 1)),
        "winograd": winograd.prepare(drawn(9, 16, 3, 3), padding=((1, 1), (1, 1))),
        "separable": separable.prepare(ones, drawn(9, 16, 1, 1), padding=((1, 1), (1, 1))),
    }
    for run in runs.values():
        with pytest.raises(UsageError, match=r"bias of \(9,\)"):
            run(x, bias=wrong)
        with pytest.raises(UsageError, match=r"residual of \(2, 9, 7, 6\)"):
            run(x, residual=wrong[:, None, None].expand(2, len(wrong), 7, 6))
    with pytest.raises(UsageError, match=r"bias of \(16,\)"):
        windows.prepare(ones)(x, bias=wrong)
    with pytest.raises(UsageError, match=r"bias of \(16,\)"):
        separable.prepare(ones, drawn(9, 16, 1, 1), between=wrong)

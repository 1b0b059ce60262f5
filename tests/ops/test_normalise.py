"""Batch normalisation by kernels of our own, against torch's in double precision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from striate.errors import UsageError
from striate.ops.native import available
from striate.ops.normalise import normalise, possible

pytestmark = pytest.mark.skipif(not available(), reason="no kernels on this system")

Case = tuple[Tensor, Tensor, Tensor, Tensor]


def drawn(shape: tuple[int, int, int, int], seed: int = 0) -> Case:
    """Return x, weight, bias and what is added, of float32 with channels innermost."""
    source = torch.Generator().manual_seed(seed)
    x, residual = (torch.randn(shape, generator=source) * 2 + 3 for _ in range(2))
    weight, bias = (
        torch.rand(shape[1], generator=source) + 0.5,
        torch.randn(shape[1], generator=source),
    )
    last = torch.channels_last
    return x.contiguous(memory_format=last), weight, bias, residual.contiguous(memory_format=last)


def asked(case: Case) -> list[Tensor]:
    return [each.clone().requires_grad_() for each in case]


def estimates(channels: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    return torch.zeros(channels, dtype=dtype), torch.ones(channels, dtype=dtype)


def ours(given: list[Tensor], form: str, running: tuple[Tensor, Tensor]) -> Tensor:
    x, weight, bias, residual = given
    added = residual if form == "summed" else None
    return normalise(
        *(x, weight, bias, running),
        momentum=0.1,
        eps=1e-5,
        residual=added,
        rectified=form != "plain",
    )


def theirs(given: list[Tensor], form: str, running: tuple[Tensor, Tensor]) -> Tensor:
    x, weight, bias, residual = given
    y = functional.batch_norm(x, *running, weight, bias, True, 0.1, 1e-5)
    y = y + residual if form == "summed" else y
    return y if form == "plain" else y.relu()


def off(found: Tensor, exact: Tensor) -> float:
    """Return the largest difference by the largest value."""
    return float((found.double() - exact).abs().max() / exact.abs().max().clamp(min=1e-3))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 70), st.integers(1, 9), st.integers(1, 9)),
    form=st.sampled_from(["plain", "rectified", "summed"]),
    seed=st.integers(0, 99),
)
def test_values_gradients_and_estimates_are_those_of_double_precision(
    shape: tuple[int, int, int, int], form: str, seed: int
) -> None:
    assume(shape[0] * shape[2] * shape[3] >= 16)  # of two, one is 1 and the other -1: no slope
    case = drawn(shape, seed)
    exact = [each.double().requires_grad_() for each in case]
    own, wide = asked(case), estimates(shape[1], torch.float64)
    running = estimates(shape[1])
    y, z = ours(own, form, running), theirs(exact, form, wide)
    assert off(y.detach(), z.detach()) < 2e-5
    gradient = torch.randn(z.shape, generator=torch.Generator().manual_seed(100 + seed)).double()
    gradient[z.detach().abs() < 1e-4] = 0.0  # where rounding decides what a rectifier lets through
    y.backward(gradient.float())
    z.backward(gradient)
    for found, like in zip(own, exact, strict=True):
        if like.grad is not None:
            assert found.grad is not None
            assert off(found.grad, like.grad) < 1e-4
    for found, like in zip(running, wide, strict=True):
        assert off(found, like) < 1e-5


def test_values_far_from_zero_keep_their_digits() -> None:
    x, weight, bias, _ = drawn((8, 16, 12, 12))
    x = x + 1_000_000
    exact = functional.batch_norm(x.double(), None, None, weight.double(), bias.double(), True)
    own = normalise(x, weight, bias, estimates(16), momentum=0.1, eps=1e-5)
    other = functional.batch_norm(x, None, None, weight, bias, True)
    assert 10 * off(own, exact) < off(other, exact)
    assert off(own, exact) < 5e-3


@pytest.mark.parametrize("form", ["plain", "rectified", "summed"])
def test_the_number_of_threads_changes_no_bit(form: str, threads: None) -> None:
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        own = asked(drawn((4, 48, 20, 20)))
        y = ours(own, form, running := estimates(48))
        y.backward(torch.sin(torch.arange(y.numel())).view(y.shape))
        found.append([y.detach(), *running, *(each.grad for each in own if each.grad is not None)])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_what_is_no_number_stays_in_its_channel() -> None:
    x, weight, bias, _ = drawn((3, 20, 6, 6))
    x[1, 7, 2, 2] = torch.nan
    y = normalise(x, weight, bias, estimates(20), momentum=0.1, eps=1e-5, rectified=True)
    assert bool(y[:, 7].isnan().all())
    assert bool(y[:, [each for each in range(20) if each != 7]].isfinite().all())


@pytest.mark.parametrize("form", ["plain", "rectified", "summed"])
def test_gradients_have_gradients(form: str) -> None:
    found = []
    for run in (ours, theirs):
        own = asked(drawn((3, 5, 4, 4)))
        y = run(own, form, estimates(5))
        (slope,) = torch.autograd.grad((y**3).sum(), own[0], create_graph=True)
        slope.square().sum().backward()
        found.append(torch.cat([each.grad.flatten() for each in own[:3] if each.grad is not None]))
    assert len(found[0]) == 3 * 5 * 16 + 5 + 5
    assert off(found[0], found[1].double()) < 1e-3


def test_a_gradient_in_another_order_and_none_for_what_needs_none() -> None:
    x, weight, bias, residual = drawn((2, 6, 5, 5))
    x.requires_grad_()
    y = ours([x, weight, bias, residual], "summed", estimates(6))
    gradient = torch.randn(y.shape)
    assert not gradient.is_contiguous(memory_format=torch.channels_last)
    y.backward(gradient)
    exact = x.detach().double().requires_grad_()
    wide = [exact, weight.double(), bias.double(), residual.double()]
    theirs(wide, "summed", estimates(6, torch.float64)).backward(gradient.double())
    assert x.grad is not None and exact.grad is not None
    assert off(x.grad, exact.grad) < 1e-4
    assert weight.grad is None and residual.grad is None


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(2, 3, 4, 4),  # in another order
        torch.randn(2, 3, 4, 4).double().contiguous(memory_format=torch.channels_last),
        torch.randn(2, 3, 4),
        torch.randn(1, 3, 1, 1),  # one value a channel has no variance
        torch.randn(0, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        torch.nn.Parameter(torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)),
    ],
)
def test_what_they_are_not_for(x: Tensor) -> None:
    assert not possible(x, torch.ones(3))


def test_nobody_looks_on_where_they_compute() -> None:
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert possible(x, torch.ones(3))
    assert not possible(x, torch.ones(3, dtype=torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        assert not possible(x, torch.ones(3))


def test_a_dot_in_the_middle_takes_no_digits() -> None:
    """A first guess of the mean that is far from all other values would."""
    x = torch.randn(4, 8, 57, 57) * 1e-2
    x[:, :, 28, 28] = 1
    x = x.contiguous(memory_format=torch.channels_last)
    weight, bias = torch.ones(8), torch.zeros(8)
    exact = functional.batch_norm(x.double(), None, None, weight.double(), bias.double(), True)
    own = normalise(x, weight, bias, estimates(8), momentum=0.1, eps=1e-5)
    assert float((own - exact).norm() / exact.norm()) < 1e-5


def test_a_gradient_whose_sign_is_only_noted() -> None:
    case = drawn((2, 8, 4, 4))
    own = asked(case)
    y = ours(own, "summed", estimates(8))
    gradient = torch.randn(y.shape).contiguous(memory_format=torch.channels_last)
    (noted,) = torch.autograd.grad(y, own[0], torch._neg_view(gradient), retain_graph=True)
    (plain,) = torch.autograd.grad(y, own[0], -gradient)
    assert torch.equal(noted, plain)


@pytest.mark.parametrize("form", ["rectified", "summed"])
def test_what_is_kept_may_come_back_in_another_order(form: str) -> None:
    found = []
    for pack in (lambda x: x, lambda x: x.contiguous()):
        own = asked(drawn((2, 8, 5, 5)))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            y = ours(own, form, estimates(8))
        found.append(torch.autograd.grad(y.square().sum(), own[:3]))
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.mark.parametrize("form", ["plain", "summed"])
def test_many_gradients_at_a_time(form: str) -> None:
    own = asked(drawn((2, 4, 3, 3)))
    y = ours(own, form, estimates(4))
    gradients = torch.randn(3, *y.shape)
    (together,) = torch.autograd.grad(
        y, own[0], gradients, is_grads_batched=True, retain_graph=True
    )
    for gradient, found in zip(gradients, together, strict=True):
        (alone,) = torch.autograd.grad(y, own[0], gradient, retain_graph=True)
        torch.testing.assert_close(found, alone, rtol=1e-3, atol=1e-4)


def test_vectors_that_lie_otherwise_are_not_for_them() -> None:
    x, vector = drawn((2, 8, 4, 4))[0], torch.ones(8)
    assert possible(x, vector, vector)
    for other in (
        None,
        torch.ones(12),
        torch.ones(1).expand(8),
        torch.ones(16)[::2],
        torch.ones(8, dtype=torch.float64),
        torch.ones(8, device="meta"),
    ):
        assert not possible(x, vector, other)


def test_a_residual_of_another_shape_is_refused() -> None:
    x, weight, bias, _ = drawn((2, 8, 4, 4))
    given = [x, weight, bias, torch.randn(1, 8, 1, 1)]
    with pytest.raises(UsageError, match="received \\(1, 8, 1, 1\\)"):
        ours(given, "summed", estimates(8))

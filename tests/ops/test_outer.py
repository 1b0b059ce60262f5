"""The gradient by 1x1 filters as a sum of outer products, against double precision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from striate.ops import Problem, conv2d, outer
from striate.ops.machine import registers
from striate.ops.native import available

pytestmark = pytest.mark.skipif(not available(), reason="no kernels on this system")


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    vectors=st.integers(1, 9),
    features=st.integers(1, 70),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_all_gradients_are_those_of_double_precision(
    batch: int, vectors: int, features: int, size: tuple[int, int], stride: tuple[int, int]
) -> None:
    channels = vectors * registers()[0]
    x, weight = torch.randn(batch, channels, *size), torch.randn(features, channels, 1, 1)
    task = Problem(
        batch=batch,
        channels=channels,
        features=features,
        size=size,
        kernel=(1, 1),
        stride=stride,
    )
    assert outer.fits(task)
    own = [each.clone().requires_grad_() for each in (x, weight)]
    exact = [each.double().requires_grad_() for each in (x, weight)]
    large = [each.double().abs().requires_grad_() for each in (x, weight)]
    gradient = torch.randn(conv2d(x, weight, stride=stride).shape)
    y = conv2d(*own, stride=stride, algorithm="outer")
    y.backward(gradient)
    results = [y.detach()]
    for operands, slope in ((exact, gradient.double()), (large, gradient.double().abs())):
        z = functional.conv2d(*operands, stride=stride)
        z.backward(slope)
        results.append(z.detach())
    sides = [[each.grad for each in operands] for operands in (own, exact, large)]
    for found, true, most in [results, *zip(*sides, strict=True)]:
        assert found is not None and true is not None and most is not None
        assert float((found.double() - true).norm()) < 1e-6 * float(most.norm())


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit(threads: None) -> None:
    last = torch.channels_last
    x = torch.randn(3, 8 * registers()[0], 14, 14).contiguous(memory_format=last)
    gradient = torch.randn(3, 37, 14, 14).contiguous(memory_format=last)
    task = Problem(batch=3, channels=x.shape[1], features=37, size=(14, 14), kernel=(1, 1))
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(outer.by_weight(x, gradient, task))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_other_problems_are_torchs() -> None:
    lanes = registers()[0]
    for kernel, channels in (((3, 3), lanes), ((1, 1), lanes + 1)):
        task = Problem(batch=1, channels=channels, features=4, size=(5, 5), kernel=kernel)
        assert not outer.fits(task)
        x, weight = torch.randn(1, channels, 5, 5), torch.randn(4, channels, *kernel)
        torch.testing.assert_close(
            conv2d(x, weight, algorithm="outer"), functional.conv2d(x, weight)
        )

"""Winograd's kernels: the fused output, borrowed memory, other vectors, threads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.ops.problems import tensors
from torch import Tensor
from torch.nn import functional

from striate.errors import UsageError
from striate.ops import ALGORITHMS, Problem, algorithm, threads, winograd
from striate.ops.machine import l2_bytes
from striate.ops.tiles import Form
from striate.ops.winograd_kernel import ROWS

LAST = torch.channels_last


def images(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=LAST)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("features", [5, 64, 100])
def test_bias_residual_and_threshold_are_fused(features: int, relu: bool) -> None:
    torch.manual_seed(0)
    x, weight, bias = images(2, 24, 11, 10), torch.randn(features, 24, 3, 3), torch.randn(features)
    residual = images(2, features, 11, 10)
    prepared = winograd.prepare(weight, 4, ((1, 1), (1, 1)))
    expected = functional.conv2d(x, weight, bias, padding=1) + residual
    found = prepared(x, bias=bias, residual=residual, relu=relu)
    torch.testing.assert_close(found, expected.relu() if relu else expected, rtol=1e-4, atol=1e-4)
    assert found.is_contiguous(memory_format=LAST)


def test_it_writes_where_it_is_told_and_nowhere_else() -> None:
    torch.manual_seed(1)
    x, weight = images(2, 16, 7, 9), torch.randn(20, 16, 3, 3)
    prepared = winograd.prepare(weight, 4, ((1, 1), (1, 1)))
    wide = torch.full((2, 50, 7, 9), 7.0).contiguous(memory_format=LAST)
    found = prepared(x, out=wide[:, 13:33])
    assert found.data_ptr() == wide[:, 13:33].data_ptr()
    expected = functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(wide[:, 13:33], expected, rtol=1e-4, atol=1e-4)
    assert (wide[:, :13] == 7).all() and (wide[:, 33:] == 7).all()


def test_it_reads_a_slice_of_channels_and_writes_over_the_residual() -> None:
    torch.manual_seed(2)
    wide, weight = images(2, 40, 8, 8), torch.randn(16, 24, 3, 3)
    prepared = winograd.prepare(weight, 4, ((1, 1), (1, 1)))
    total = images(2, 16, 8, 8)
    expected = total + functional.conv2d(wide[:, 8:32], weight, padding=1)
    assert prepared(wide[:, 8:32], residual=total, out=total) is total
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)


def test_not_a_number_passes_the_threshold() -> None:
    x = images(1, 16, 8, 8)
    x[0, 0, 3, 3] = torch.nan
    y = winograd.prepare(torch.randn(8, 16, 3, 3), 4)(x, relu=True)
    assert y.isnan().any()


@pytest.mark.parametrize("count", [1, 2])
def test_no_image_gives_no_image(count: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        y = winograd.prepare(torch.randn(8, 16, 3, 3), 4)(images(0, 16, 8, 8))
    finally:
        torch.set_num_threads(before)
    assert y.shape == (0, 8, 6, 6)


def test_memory_that_does_not_fit_is_refused() -> None:
    prepared = winograd.prepare(torch.randn(8, 16, 3, 3), 4)
    with pytest.raises(UsageError, match="out of"):
        prepared(images(1, 16, 8, 8), out=images(1, 8, 8, 8))
    with pytest.raises(UsageError, match="16 channels"):
        prepared(images(1, 12, 8, 8))


@pytest.mark.parametrize(("lanes", "vectors"), [(4, 2), (4, 4), (8, 2), (16, 4)])
def test_narrower_vectors_compute_the_same(
    monkeypatch: pytest.MonkeyPatch, lanes: int, vectors: int
) -> None:
    """As machines with AVX2 and Arm would."""
    monkeypatch.setattr(winograd, "registers", lambda: (lanes, vectors))
    torch.manual_seed(3)
    x, weight = images(2, 21, 9, 10), torch.randn(38, 21, 3, 3)
    task = winograd.Problem(
        batch=2, channels=21, features=38, size=(9, 10), kernel=(3, 3), padding=((1, 1), (1, 1))
    )
    y = winograd.forward(4, x, weight, task)
    torch.testing.assert_close(y, functional.conv2d(x, weight, padding=1), rtol=1e-4, atol=1e-4)
    seen = images(*y.shape)
    expected = torch.nn.grad.conv2d_weight(x, weight.shape, seen, padding=1)
    found = winograd.by_weight(4, x, seen, task)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("own_pool", [False, True])
@pytest.mark.parametrize("shape", [(1, 16, 8, 8), (2, 64, 40, 40), (1, 200, 6, 6)])
def test_threads_change_no_bit(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], own_pool: bool
) -> None:
    monkeypatch.setattr(threads, "crowded", lambda: own_pool)
    torch.manual_seed(4)
    x, weight = images(*shape), torch.randn(150, shape[1], 3, 3)
    task = winograd.Problem(
        batch=shape[0],
        channels=shape[1],
        features=150,
        size=shape[2:],
        kernel=(3, 3),
        padding=((1, 1), (1, 1)),
    )
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            y = winograd.forward(4, x, weight, task)
            found.append(
                (y, winograd.by_weight(4, x, y, task), winograd.by_input(4, y, weight, task))
            )
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_blocks_fit_the_second_cache() -> None:
    one = Form((4, 4), (3, 3), 16, 4)
    block = winograd.blocks(one, 64, 64, 10_000)
    assert block.tiles % ROWS == 0
    assert block.bytes <= l2_bytes() or block.tiles == 24
    assert winograd.blocks(one, 64, 64, 7).tiles == 12
    assert winograd.blocks(one, 512, 512, 10_000).tiles == 48


def test_without_a_compiler_torch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithm, "available", lambda: False)
    task = winograd.Problem(batch=1, channels=8, features=8, size=(8, 8), kernel=(3, 3))
    assert not ALGORITHMS["winograd_4x4"].supports(task)


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    def work(first: int, last: int) -> None:
        if first == 4:
            raise ValueError("four")

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ValueError, match="four"):
            threads.share(work, threads.cut(6, 3))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("outputs", "kernel"), [(2, 3), (4, 3), (6, 3), (2, 5), (4, 5)])
def test_pooled_results_are_those_that_pooling_leaves(outputs: int, kernel: int) -> None:
    torch.manual_seed(5)
    x, weight, bias = images(2, 20, 11, 14), torch.randn(70, 20, kernel, kernel), torch.randn(70)
    around = ((1, 1), (0, 2))
    whole = winograd.prepare(weight, outputs, around)(x, bias=bias, relu=True)
    pooled = winograd.prepare(weight, outputs, around, pooled=True)(x, bias=bias, relu=True)
    assert torch.equal(pooled, functional.max_pool2d(whole, 2))


CLASSES = {"winograd_2x2": 1e-6, "winograd_4x4": 2e-6, "winograd_6x6": 5e-6}
"""The error of 3x3 filters that may be told of each."""


@st.composite
def wide_problems(draw: st.DrawFn) -> Problem:
    """Draw a problem of so many numbers that their error is no accident."""
    return Problem(
        batch=draw(st.integers(1, 2)),
        channels=draw(st.sampled_from([1, 3, 16, 64, 100, 128, 129, 256, 257, 384, 512])),
        features=draw(st.sampled_from([40, 64, 130])),
        size=(draw(st.integers(10, 20)), draw(st.integers(10, 20))),
        kernel=draw(st.sampled_from([(3, 3), (3, 3), (5, 5), (1, 3), (3, 1), (1, 5), (7, 1)])),
        padding=((draw(st.integers(0, 2)), 1), (1, draw(st.integers(0, 2)))),
    )


@settings(max_examples=40, deadline=None)
@given(wide_problems(), st.booleans(), st.integers(0, 99))
@example(Problem(batch=2, channels=512, features=64, size=(20, 20), kernel=(3, 3)), False, 0)
@example(Problem(batch=2, channels=512, features=64, size=(20, 20), kernel=(5, 5)), False, 0)
@example(Problem(batch=2, channels=64, features=512, size=(30, 30), kernel=(3, 3)), False, 0)
@example(Problem(batch=16, channels=16, features=16, size=(64, 64), kernel=(3, 3)), False, 0)
def test_the_error_that_is_told_bounds_that_of_all_three_faces(
    task: Problem, rectified: bool, seed: int
) -> None:
    x, weight, _, seen = tensors(task, seed)
    x = x.relu() if rectified else x
    image, filters = x.double().requires_grad_(), weight.double().requires_grad_()
    (above, below), (left, right) = task.padding
    exact = functional.conv2d(functional.pad(image, (left, right, above, below)), filters)
    by_input, by_weight = torch.autograd.grad(exact, [image, filters], seen.double())
    for name, told in CLASSES.items():
        method = ALGORITHMS[name]
        if not method.supports(task):
            continue
        bound = method.relative_error(task)
        assert task.kernel != (3, 3) or bound <= told
        for what, found, true in (
            ("y", method.forward(x, weight, task), exact.detach()),
            ("dx", method.by_input(seen, weight, task), by_input),
            ("dw", method.by_weight(x, seen, task), by_weight),
        ):
            if true.numel() >= 2000:  # fewer are no average: 36 pixels of a tile err together
                error = float((found - true).norm() / true.norm())
                assert error < bound, (name, what, error)

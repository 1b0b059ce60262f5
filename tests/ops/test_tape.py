"""Kernels' calls made again as one: the same bits, or nothing at all."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from striate.ops import Problem, conv2d, direct, packed, windows, winograd
from striate.ops.tape import recording, taped


def images(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 9, 40])
def test_the_same_calls_give_the_same_bits(threads: int, size: int) -> None:
    """Each step reads what the one before wrote, by whichever thread; some have a single piece."""
    torch.manual_seed(0)
    x, between, y = images(2, 48, size, size), images(2, 48, size, size), images(2, 48, size, size)
    single = windows.prepare(torch.randn(48, 1, 3, 3), (1, 1), ((1, 1), (1, 1)))
    mixing = packed.prepare(torch.randn(48, 48, 1, 1) / 7)

    def run() -> Tensor:
        for _ in range(4):
            single(x, limits=(0.0, 6.0), out=between)
            mixing(between, out=y)
            mixing(y, residual=between, out=between)
            single(between, limits=(-1.0, 1.0), out=y)
        return y

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        again = taped(run)
        assert again is not run
        for _ in range(20):
            x.normal_()
            expected = run().clone()
            y.zero_()
            assert torch.equal(again(), expected)
    finally:
        torch.set_num_threads(before)


def test_what_torch_does_as_well_is_not_left_out() -> None:
    x = images(1, 16, 5, 5)
    single = windows.prepare(torch.randn(16, 1, 3, 3), (1, 1), ((1, 1), (1, 1)))
    out = images(1, 16, 5, 5)
    for run in (
        lambda: single(x, out=out).relu_(),
        lambda: single(x),  # memory that goes back to torch
        lambda: single(x.contiguous(memory_format=torch.contiguous_format), out=out),
        lambda: torch.add(x, x, out=out),
    ):
        assert taped(run) is run


def test_only_this_threads_calls_are_noted() -> None:
    x, out = images(1, 16, 5, 5), images(1, 16, 5, 5)
    single = windows.prepare(torch.randn(16, 1, 3, 3), (1, 1), ((1, 1), (1, 1)))
    other = threading.Thread(target=lambda: single(x, out=out))
    with recording() as made:
        other.start()
        other.join()
        assert not made.calls
        single(x, out=out)
    single(x, out=out)
    assert len(made.calls) == 1 and made.whole


def test_torchs_compiler_is_not_loaded_for_it() -> None:
    script = (
        "import sys, torch; from striate.ops.tape import recording\n"
        "with recording() as made: torch.ones(3)[:1].relu()\n"
        "assert not made.whole; sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def correlated(x: Tensor, gradient: Tensor) -> Tensor:
    """Return a gradient by 3x3 filters, which a tape makes from the third time on."""
    weight = torch.zeros(8, 16, 3, 3, requires_grad=True)
    y = conv2d(x, weight, padding=1, algorithm="winograd_4x4")
    return torch.autograd.grad(y, weight, gradient)[0]


def test_what_is_done_again_and_again_is_done_where_tensors_lie_then() -> None:
    held = []
    for seed in range(6):
        torch.manual_seed(seed)
        last = torch.channels_last
        x = torch.randn(2, 16, 11, 9).contiguous(memory_format=last)
        gradient = torch.randn(2, 8, 11, 9).contiguous(memory_format=last)
        held.append((x, gradient))  # the next ones lie elsewhere
        weight = torch.zeros(8, 16, 3, 3, requires_grad=True)
        y = functional.conv2d(x, weight, padding=1)
        (expected,) = torch.autograd.grad(y, weight, gradient)
        torch.testing.assert_close(correlated(x, gradient), expected, rtol=1e-4, atol=1e-4)


def test_one_tensor_in_two_places_is_no_two_tensors() -> None:
    """Calls noted with a tensor as both operands are not made with two, nor the other way round."""
    last = torch.channels_last
    x = torch.randn(2, 16, 10, 10).contiguous(memory_format=last)
    other = torch.randn(2, 16, 10, 10).contiguous(memory_format=last)
    task = Problem(
        batch=2, channels=16, features=16, size=(10, 10), kernel=(3, 3), padding=((1, 1), (1, 1))
    )
    for pair in [(x, x)] * 4 + [(x, other)] * 4 + [(other, other)] * 2:
        found = winograd.by_weight(4, *pair, task)
        exact = direct.by_weight(pair[0].double(), pair[1].double(), task)
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-3)


def test_threads_have_tapes_of_their_own() -> None:
    last = torch.channels_last
    drawn = [
        (
            torch.randn(2, 16, 12, 12).contiguous(memory_format=last),
            torch.randn(2, 8, 12, 12).contiguous(memory_format=last),
        )
        for _ in range(4)
    ]
    alone = [correlated(*each) for each in drawn]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = list(pool.map(lambda each: correlated(*each), drawn))
            assert all(torch.equal(one, two) for one, two in zip(alone, together, strict=True))

"""Kernels' calls made again as one: the same bits, or nothing at all."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch
from torch import Tensor

from striate.ops import packed, windows
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

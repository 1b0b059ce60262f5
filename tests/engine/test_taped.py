"""Steps made again as one: the answers of the first call, whatever comes between."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from tests.engine.test_accelerate import shaken, small
from tests.engine.test_planning import everywhere
from torch import Tensor

from striate.engine import Program, accelerate
from striate.engine.workspace import Taped
from striate.layers import Net


def ours(net: Net, images: Tensor) -> Program:
    """Return a program with as many kernels of ours as there are."""
    return accelerate(net, images, plan=everywhere(net.network, "packed"))


def tapes(fast: Program) -> list[Taped]:
    (workspace,) = fast._idle
    (script,) = workspace.scripts.values()
    return [each for each in script if isinstance(each, Taped)]


@pytest.mark.parametrize(
    "name", ["mobilenet_v1", "densenet_bc_100_12", "squeezenet1_1", "googlenet_bn", "resnet18"]
)
def test_the_answers_of_the_first_call(name: str) -> None:
    net = shaken(small(name))
    batches = [torch.randn(2, *net.network.input_shape) for _ in range(4)]
    fast = ours(net, batches[0])
    with torch.no_grad():
        expected = [net(images) for images in batches]
    first = fast(batches[0])
    for images, near in zip(batches * 2, expected * 2, strict=True):
        assert (fast(images) - near).abs().max() <= 1e-5 * near.abs().max()
    assert torch.equal(fast(batches[0]), first)
    assert tapes(fast)[-1].gives[-1][0] == fast._answers[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_between_other_batches_threads_and_copies(threads: int) -> None:
    net = shaken(small("mobilenet_v1"))
    batches = [torch.randn(rows, *net.network.input_shape) for rows in (2, 1, 3, 2)]
    fast = ours(net, batches[0])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    wrong: list[int] = []

    def compare(program: Program, times: int) -> None:
        for index in [*range(len(batches))] * times:
            if not torch.equal(program(batches[index]), expected[index]):
                wrong.append(index)

    try:
        expected = [fast(images) for images in batches]
        compare(fast, 4)
        other = copy.deepcopy(fast)
        compare(other, 3)
        del fast._idle[:]  # the copy knows no address of what it was copied from
        compare(other, 1)
        workers = [threading.Thread(target=compare, args=(other, 4)) for _ in range(3)]
        for worker in workers:
            worker.start()
        torch.set_num_threads(3 - threads)
        compare(other, 3)
        for worker in workers:
            worker.join()
    finally:
        torch.set_num_threads(before)
    assert not wrong

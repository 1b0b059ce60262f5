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


@pytest.mark.parametrize("name", ["mobilenet_v1", "squeezenet1_1", "resnet18"])
def test_images_may_lie_anywhere(name: str) -> None:
    """A tape is told where the images are: other addresses, orders, slices, signs only noted."""
    net = shaken(small(name))
    images = torch.randn(2, *net.network.input_shape)
    fast = ours(net, images)
    expected = fast(images).clone()
    wide = torch.zeros(4, images.shape[1] + 1, *images.shape[2:])
    wide[1:3, 1:] = images
    complex_ones = torch.complex(torch.zeros_like(images), -images).conj()
    placed = {
        "where it was": images,
        "elsewhere": images.clone(),
        "channels last": images.clone().contiguous(memory_format=torch.channels_last),
        "a slice": wide[1:3, 1:],
        "a sign that is noted": complex_ones.imag,
    }
    assert placed["a sign that is noted"].is_neg()
    for _ in range(4):
        for how, each in placed.items():
            before = each.clone()
            assert torch.equal(fast(each), expected), how
            assert torch.equal(each, before), how
        images = images.clone()  # the old ones' memory is somebody else's now
        placed["where it was"].fill_(torch.nan)
        placed["where it was"] = images
    (script, *_) = fast._idle[0].scripts.values()
    assert [type(each) for each in script] == [Taped]


def test_one_image_given_twice() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = (torch.nn.Conv2d(3, 16, 3, padding=1) for _ in range(2))

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return torch.relu(self.left(left)) + self.right(right)

    module = Two().eval()
    x, y = torch.randn(1, 3, 16, 16), torch.randn(1, 3, 16, 16)
    fast = accelerate(module, (x, y), plan={"left": "packed", "right": "packed"})
    with torch.no_grad():
        for left, right in [(x, x), (x, x), (x, y), (y, x), (x, x), (y, x), (x, y)] * 2:
            assert torch.allclose(fast(left, right), module(left, right), atol=1e-5)

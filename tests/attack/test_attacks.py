"""Each attack against a reference written in plain torch, or a boundary known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.explain.nets import contract_for
from torch import Tensor, nn
from torch.nn import functional

from striate import attack, zoo
from striate.contract import Contract
from striate.inference import PixelNet
from striate.layers import build
from striate.randomness import stream

SHAPE = (3, 32, 32)


def levels(count: int, shape: tuple[int, int, int] = SHAPE, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=generator).float() / 255


@pytest.fixture(scope="module")
def net() -> nn.Module:
    made = build(zoo.network("resnet20", classes=5, input=SHAPE), seed=4).eval()
    with torch.no_grad():  # not so sure of itself that its loss has no gradient in float32
        list(made.parameters())[-2].mul_(0.1)
    return made


@pytest.fixture(scope="module")
def contract() -> Contract:
    return contract_for(SHAPE, 5)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return levels(6)


@pytest.fixture(scope="module")
def labels(net: nn.Module, contract: Contract, images: Tensor) -> Tensor:
    with torch.no_grad():
        return PixelNet(net, contract)(images).argmax(1)


def reference(
    net: nn.Module,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    eps: float,
    step: float,
    steps: int,
) -> Tensor:
    """Madry's PGD in plain torch, with the normalisation written into the loss."""
    slope = torch.tensor(contract.forward.slope)[:, None, None]
    offset = torch.tensor(contract.forward.offset)[:, None, None]
    moved = start.clone()
    for _ in range(steps):
        moved.requires_grad_()
        logits = net(moved * 255 * slope + offset)
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, moved)
        with torch.no_grad():
            moved = moved + step * gradient.sign()
            moved = (images + (moved - images).clamp(-eps, eps)).clamp(0, 1)
    return moved


def test_fgsm_exactly(net: nn.Module, contract: Contract, images: Tensor, labels: Tensor) -> None:
    found = attack.fgsm(net, contract, images, labels, eps=8 / 255)
    theirs = reference(net, contract, images, labels, images, 8 / 255, 8 / 255, 1)
    assert torch.equal(found.images, theirs)
    assert float(found.largest.max()) == pytest.approx(8 / 255, abs=1e-6)


def test_iterated_fgsm_exactly(
    net: nn.Module, contract: Contract, images: Tensor, labels: Tensor
) -> None:
    found = attack.iterated_fgsm(net, contract, images, labels, eps=0.03, steps=4, step=0.012)
    theirs = reference(net, contract, images, labels, images, 0.03, 0.012, 4)
    assert torch.equal(found.images, theirs)


def test_pgd_exactly(net: nn.Module, contract: Contract, images: Tensor, labels: Tensor) -> None:
    found = attack.pgd(net, contract, images, labels, eps=0.03, steps=5, step=0.01, seed=9)
    noise = stream(9, "pgd", 0, np.arange(6)).uniform("start", -0.03, 0.03, SHAPE)
    start = (images + torch.from_numpy(noise).float()).clamp(0, 1)
    theirs = reference(net, contract, images, labels, start, 0.03, 0.01, 5)
    assert torch.equal(found.images, theirs)


def test_pgd_l2_stays_in_its_ball_and_climbs(
    net: nn.Module, contract: Contract, images: Tensor, labels: Tensor
) -> None:
    found = attack.pgd(net, contract, images, labels, eps=0.5, steps=8, norm="l2")
    assert float(found.length.max()) <= 0.5 * (1 + 1e-5)
    seen = PixelNet(net, contract)
    with torch.no_grad():
        before = functional.cross_entropy(seen(images), labels)
        after = functional.cross_entropy(seen(found.images), labels)
    assert after > before


def test_how_images_are_cut_into_batches_changes_nothing(
    net: nn.Module, contract: Contract, images: Tensor, labels: Tensor
) -> None:
    whole = attack.pgd(net, contract, images, labels, eps=0.02, steps=3, restarts=2)
    parts = [
        attack.pgd(
            net, contract, images[cut], labels[cut], eps=0.02, steps=3, restarts=2, first=cut.start
        ).images
        for cut in (slice(0, 2), slice(2, 6))
    ]
    assert float((whole.images - torch.cat(parts)).abs().max()) < 1e-5


@given(st.sampled_from(["fgsm", "iterated", "pgd", "l2", "noise"]), st.integers(0, 3))
def test_eps_of_zero_is_the_image_itself(which: str, seed: int) -> None:
    net = build(zoo.network("lenet"), seed=seed).eval()
    contract, images = contract_for((1, 28, 28), 10), levels(2, (1, 28, 28), seed)
    labels = torch.tensor([1, 2])
    made = {
        "fgsm": lambda: attack.fgsm(net, contract, images, labels, eps=0.0),
        "iterated": lambda: attack.iterated_fgsm(net, contract, images, labels, eps=0.0),
        "pgd": lambda: attack.pgd(net, contract, images, labels, eps=0.0, steps=3, step=0.1),
        "l2": lambda: attack.pgd(
            net, contract, images, labels, eps=0.0, steps=3, step=0.1, norm="l2"
        ),
        "noise": lambda: attack.noise(net, contract, images, labels, eps=0.0),
    }[which]()
    assert torch.equal(made.images, images)
    assert torch.equal(made.before, made.after)


class Linear(nn.Module):
    """Classes apart by planes: the nearest boundary of two is known."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(classes, 48, generator=generator))
        self.bias = nn.Parameter(torch.linspace(0.3, -0.2, classes))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


@pytest.mark.parametrize("name", ["deepfool", "carlini_wagner"])
def test_the_nearest_image_of_a_linear_net_is_its_projection(name: str) -> None:
    net = Linear().eval()
    shape = (3, 4, 4)
    contract = contract_for(shape, 2)
    images = 0.5 + 0.02 * (levels(5, shape, 1) - 0.5)  # so that no pixel reaches its end
    seen = PixelNet(net, contract)
    with torch.no_grad():
        logits = seen(images)
    labels = logits.argmax(1)
    slopes = torch.stack([(net.weight[1] - net.weight[0]).detach().reshape(shape) * seen.scale])
    exact = (logits[:, 1] - logits[:, 0]).abs() / slopes.flatten().norm()
    if name == "deepfool":
        found = attack.deepfool(net, contract, images, labels)
        assert torch.allclose(found.length, exact * 1.02, rtol=2e-3, atol=1e-4)
    else:
        found = attack.carlini_wagner(
            net, contract, images, labels, steps=200, searches=5, rate=0.01
        )
        assert bool((found.length >= exact * 0.999).all())
        assert bool((found.length <= exact * 1.15 + 2e-3).all())
    assert bool(found.succeeded.all())


def test_targets_are_reached() -> None:
    net, shape = Linear(4).eval(), (3, 4, 4)
    contract, images = contract_for(shape, 4), levels(6, shape, 2)
    with torch.no_grad():
        order = PixelNet(net, contract)(images).argsort(1, descending=True)
    for place in (1, 3):  # the second likeliest, and the least likely
        labels, targets = order[:, 0], order[:, place]
        for found in (
            attack.pgd(net, contract, images, labels, eps=0.4, steps=20, targets=targets),
            attack.fgsm(net, contract, images, labels, eps=0.4, targets=targets),
            attack.carlini_wagner(
                net, contract, images, labels, targets=targets, steps=60, searches=4, rate=0.05
            ),
        ):
            assert bool(found.succeeded.all()), (found.attack, place)
            assert torch.equal(found.after, targets)


def test_one_perturbation_serves_images_it_was_not_found_on(
    net: nn.Module, contract: Contract
) -> None:
    images = levels(24, seed=5)
    with torch.no_grad():
        labels = PixelNet(net, contract)(images).argmax(1)
    made = attack.universal(net, contract, images[:16], labels[:16], eps=0.2, epochs=4, batch=8)
    assert float(made.perturbation.abs().max()) <= 0.2
    chance = attack.noise(net, contract, images[:16], labels[:16], eps=0.2)
    assert made.found_on.accuracy <= chance.accuracy


@pytest.mark.parametrize("training", [True, False])
def test_the_net_is_left_as_found_also_after_an_error(
    contract: Contract, images: Tensor, labels: Tensor, training: bool
) -> None:
    net = build(zoo.network("resnet20", classes=5, input=SHAPE), seed=4).train(training)
    first = next(net.parameters())
    first.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    attack.pgd(net, contract, images, labels, eps=0.03, steps=2)
    with pytest.raises((RuntimeError, IndexError)):
        attack.deepfool(net, contract, images[:, :, :2, :2], labels[:3])
    assert net.training is training and not first.requires_grad
    assert all(each.grad is None for each in net.parameters())
    assert sum(each.requires_grad for each in net.parameters()) == len(list(net.parameters())) - 1
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())

"""Maps are believed where they should be: planted patches are found, blind methods are flagged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from tests.explain.nets import contract_for
from tests.explain.planted import SHAPE, SIDE, network, planted, trained
from tests.zoo.test_published_weights import photographs, squeezenet
from torch import Tensor

from striate import explain
from striate.contract import Contract
from striate.errors import UsageError
from striate.explain.validity import SENSITIVE, cascade, cells, correlation, curves
from striate.inference import PixelNet
from striate.layers import Net, build


@pytest.fixture(scope="module")
def contract() -> Contract:
    return contract_for(SHAPE, 3)


@pytest.fixture(scope="module")
def net(contract: Contract) -> Net:
    made = trained(contract)
    images, labels, _ = planted(100, 1000)
    with torch.no_grad():
        assert (PixelNet(made, contract)(images).argmax(1) == labels).float().mean() > 0.97
    return made


POINTING: dict[str, Any] = {
    "grad_cam": lambda *given: explain.grad_cam(*given, layer="relu3"),
    "occlusion": lambda *given: explain.occlusion(*given, window=3, stride=1),
    "integrated_gradients": lambda *given: explain.integrated_gradients(*given, steps=24),
}


@pytest.mark.parametrize("name", POINTING)
def test_the_patch_that_decides_is_found(name: str, net: Net, contract: Contract) -> None:
    """The pointing game: the largest value of the map lies in the patch, 95 times of a hundred."""
    images, labels, places = planted(40, 2000)
    hits = 0
    for image, label, (row, column) in zip(images, labels, places, strict=True):
        found = POINTING[name](net, contract, image, int(label)).map
        top, left = np.unravel_index(np.abs(found).argmax(), found.shape)
        hits += row <= top < row + SIDE and column <= left < column + SIDE
    assert hits >= 38


def test_a_blind_method_is_flagged_and_gradients_pass(net: Net, contract: Contract) -> None:
    """One that shows edges whatever the weights, against one that follows them."""

    def edges(net: Net, contract: Contract, image: Tensor, target: int) -> explain.Attribution:
        shown = image.numpy()
        values = np.abs(np.gradient(shown[0])[0])[None].astype(np.float32)
        return explain.Attribution("edges", target, 0.0, values, signed=False)

    images, labels, _ = planted(6, 4000)
    for image, label in zip(images, labels, strict=True):
        blind = explain.validity(edges, net, contract, image, int(label))
        assert not blind.believable and blind.sensitivity == pytest.approx(0, abs=1e-6)
        assert "random weights" in blind.reasons[0]
    sensitive = [
        explain.validity(explain.saliency, net, contract, image, int(label)).sensitivity
        for image, label in zip(images, labels, strict=True)
    ]
    assert np.mean(sensitive) > 1 - SENSITIVE


def test_guided_backprop_is_flagged_on_a_published_network_and_gradients_pass(
    published_weights: Path, imagenet_samples: Path
) -> None:
    """Adebayo et al.: with the upper half of SqueezeNet random, guided backprop hardly changes."""
    net = squeezenet(published_weights)
    crops, labels = photographs(imagenet_samples, 227, 100)
    contract = contract_for((3, 227, 227), 1000).replace(
        channels="bgr", scale=1.0, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)
    )
    for crop, label in zip(crops[:2], labels[:2].tolist(), strict=True):
        image = torch.from_numpy(crop[..., ::-1].copy()).permute(2, 0, 1) / 255.0
        alike = {}
        for method in (explain.guided_backprop, explain.saliency):
            made = method(net, contract, image, label)
            ((layer, alike[method.__name__]),) = cascade(
                method, net, contract, image, label, made, parts=(0.5,)
            )
            assert layer == "features.8.squeeze"
        assert alike["guided_backprop"] > SENSITIVE
        assert alike["saliency"] < 0.6


def test_deletion_and_insertion_by_hand(net: Net, contract: Contract) -> None:
    images, labels, places = planted(2, 6000)
    image, label = images[1], int(labels[1])
    owner = cells(24, 24)
    row, column = places[1]
    inside = np.unique(owner[row : row + SIDE, column : column + SIDE])
    order = np.concatenate([inside, np.setdiff1d(np.unique(owner), inside)])
    gone, come = curves(net, contract, image, label, order)
    seen = PixelNet(net, contract)
    with torch.no_grad():
        ends = seen(torch.stack([image, seen.nothing.expand_as(image)])).softmax(1)[:, label]
    assert gone.probabilities[0] == pytest.approx(float(ends[0]), rel=1e-5)
    assert gone.probabilities[-1] == pytest.approx(float(ends[1]), rel=1e-5)
    assert come.probabilities[0] == pytest.approx(float(ends[1]), rel=1e-5)
    assert come.area > gone.area
    backwards = curves(net, contract, image, label, order[::-1].copy())
    assert come.area - gone.area > backwards[1].area - backwards[0].area
    flat = explain.Curve(shares=(0.0, 0.5, 1.0), probabilities=(1.0, 0.5, 0.0))
    assert flat.area == pytest.approx(0.5)


def test_rank_correlation_is_scipys() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        one, other = random.integers(0, 9, (2, 6, 7)).astype(np.float32)
        expected = spearmanr(one.ravel(), other.ravel()).statistic
        assert correlation(one, other) == pytest.approx(expected, abs=1e-9)
    assert correlation(np.zeros((3, 3), np.float32), np.ones((3, 3), np.float32)) == 0.0


def test_a_gap_is_a_reason(net: Net, contract: Contract) -> None:
    def rough(*given: object) -> explain.Attribution:
        return explain.integrated_gradients(*given, steps=1)  # type: ignore[arg-type]

    images, labels, _ = planted(4, 7000)
    gaps = [
        explain.validity(rough, net, contract, image, int(label))
        for image, label in zip(images, labels, strict=True)
    ]
    assert any(each.gap > 0.05 and "its sum misses" in each.reasons[-1] for each in gaps)
    fine = explain.integrated_gradients(net, contract, images[0], int(labels[0]), steps=100)
    assert fine.gap is not None and fine.gap < 0.02


@pytest.mark.parametrize("method", list(explain.METHODS))
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_net_is_left_as_found_also_after_an_interruption(
    method: str, error: type[BaseException], contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = build(network().finish(), seed=1).train()
    net.get_submodule("relu2").eval()
    net.get_parameter("conv1.weight").requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    image = planted(1, 0)[0][0]
    explain.method(method)(net, contract, image, 1)
    calls = []

    def interrupted(*given: object) -> Tensor:
        calls.append(1)
        raise error

    monkeypatch.setattr(net.get_submodule("fc"), "forward", interrupted)
    with pytest.raises(error):
        explain.method(method)(net, contract, image, 1)
    assert calls and net.training and not net.get_submodule("relu2").training
    assert not net.get_parameter("conv1.weight").requires_grad
    assert net.get_parameter("conv2.weight").requires_grad
    assert all(not module._forward_hooks and not module._backward_hooks for module in net.modules())
    assert all(each.grad is None for each in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_class_that_is_not_there_is_refused(net: Net, contract: Contract) -> None:
    with pytest.raises(UsageError, match="Expected a class of 0 to 2, received target=3"):
        explain.saliency(net, contract, planted(1, 0)[0][0], 3)

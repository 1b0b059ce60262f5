"""The loss before training: ln K, and as much above it as a usual start of the same layers has."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from striate import data, recipes
from striate.doctor import Check, Subject
from striate.doctor.usual import initial_loss
from striate.layers import build
from striate.train import Recipe
from striate.train.prepare import prepare

_NETWORKS = (
    "FC-10",
    "conv5-2 relu maxpool maxpool FC-10",
    "conv5-2 relu maxpool maxpool maxpool FC-10",
    "conv5-8 relu maxpool conv5-16 relu maxpool FC-64 relu FC-10",
)


@functools.cache
def started(network: str) -> tuple[Recipe, Tensor, Tensor]:
    recipe = recipes.make("auto", data.open("digits"), network=network, size=(16, 16))
    prepared = prepare(recipe)
    from striate.doctor.preflight import _first, _plain

    return recipe, *_first(_plain(recipe, prepared, "train"), 256)


def found(network: str, seed: int, times: float = 1.0, layers: slice = slice(0)) -> Check:
    recipe, images, labels = started(network)
    net = build(recipe.network, seed=seed)
    with torch.no_grad():
        for weight in [each for each in net.parameters() if each.dim() > 1][layers]:
            weight.mul_(times)
    before = [each.clone() for each in net.parameters()]
    check = initial_loss(Subject(net, images, labels, 10, seed=seed))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))
    return check


@pytest.mark.parametrize("network", _NETWORKS)
def test_a_start_that_striate_draws_is_no_failure(network: str) -> None:
    verdicts = [found(network, seed).verdict for seed in range(8)]
    assert "fail" not in verdicts and verdicts.count("warn") <= 1


@pytest.mark.parametrize("layers", [slice(0, 1), slice(-1, None), slice(None)])
@pytest.mark.parametrize("network", _NETWORKS)
def test_weights_ten_times_too_wide_are(network: str, layers: slice) -> None:
    checks = [found(network, seed, 10.0, layers) for seed in range(3)]
    assert {each.verdict for each in checks} == {"fail"}
    assert all("where these layers are drawn by He's rule" in each.expected for each in checks)


def test_pixels_and_biases_do_not_excuse_themselves() -> None:
    recipe, images, labels = started(_NETWORKS[0])
    net = build(recipe.network, seed=0)
    assert initial_loss(Subject(net, 100 * images, labels, 10)).verdict == "fail"
    with torch.no_grad():
        next(each for each in net.parameters() if each.dim() == 1)[3] = 30.0
    assert initial_loss(Subject(net, images, labels, 10)).verdict == "fail"

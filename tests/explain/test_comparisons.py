"""Representations compared, images shifted, images laid out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness
from tests.explain.nets import contract_for, image_of
from torch import Tensor, nn

from striate import explain, zoo
from striate.errors import UsageError
from striate.explain.shift import moved
from striate.inference import PixelNet
from striate.layers import build

RANDOM = np.random.default_rng(0)


def test_cka_by_hand_and_its_invariances() -> None:
    """|Y'X|^2 / (|X'X| |Y'Y|) of centred features, equation 3 of Kornblith et al."""
    one, other = RANDOM.normal(size=(30, 7)), RANDOM.normal(size=(30, 5))
    rotation, _ = np.linalg.qr(RANDOM.normal(size=(7, 7)))
    turned = 3.5 * one @ rotation + 2.0
    found = explain.similarity([("one", one)], [("one", one), ("turned", turned), ("o", other)])
    x, y = one - one.mean(0), other - other.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert found.values[0] == pytest.approx([1, 1, expected], rel=1e-5)
    assert found.images == 30 and found.columns == ("one", "turned", "o")


def test_rsa_by_hand() -> None:
    one, other = RANDOM.normal(size=(20, 9)), RANDOM.normal(size=(20, 6))
    found = explain.similarity([("one", one)], [("other", other)], "rsa")
    expected = spearmanr(pdist(one, "correlation"), pdist(other, "correlation")).statistic
    assert float(found.values[0, 0]) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UsageError, match="same three images or more"):
        explain.similarity([("one", one)], [("other", other[:5])])


def test_a_layer_is_most_alike_to_itself_also_in_another_seed() -> None:
    contract, images = contract_for((1, 28, 28), 10), image_of((40, 1, 28, 28)).float()
    network = zoo.network("lenet")
    layers = ("relu1", "relu2", "relu3")
    nets = [build(network, seed=seed).eval() for seed in (1, 2)]
    values = [
        list(zip(layers, explain.features(net, contract, images, layers), strict=True))
        for net in nets
    ]
    found = explain.similarity(values[0], values[0])
    assert np.allclose(np.diag(found.values), 1)
    across = explain.similarity(values[0], values[1])
    assert across.values.shape == (3, 3) and (across.values < 1).all()


class Centre(nn.Module):
    """Answers by whether the middle pixel is bright."""

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, 0, 8, 8]
        return torch.stack([-middle, middle], 1)


def test_shift_consistency_by_hand() -> None:
    contract = contract_for((1, 17, 17), 2)
    images = torch.zeros(2, 1, 17, 17)
    images[0, :, 6:11, 6:11] = 1  # a square of 5: the middle leaves it after 3 pixels
    found = explain.shift_consistency(Centre(), contract, images, most=4)  # type: ignore[arg-type]
    assert found.same == (1.0, 1.0, 0.5, 0.5)
    assert found.images == 2 and found.drop[0] == pytest.approx(0, abs=1e-6)
    row = torch.arange(5.0).reshape(1, 1, 1, 5)
    assert moved(row, 0, 2).flatten().tolist() == [0, 0, 0, 1, 2]
    assert moved(row, 0, -1).flatten().tolist() == [1, 2, 3, 4, 4]


def test_tsne_is_as_good_as_scikit_learns() -> None:
    digits = load_digits().data[:150].astype(np.float64)
    ours = explain.embed(digits, steps=500)  # as many as theirs: which valley is found is chance
    theirs = TSNE(random_state=0, max_iter=500).fit(digits)
    assert ours.divergence <= 1.05 * theirs.kl_divergence_
    assert trustworthiness(digits, ours.places) > 0.97
    assert ours.neighbours > 0.6
    again = explain.embed(digits, steps=500)
    assert np.array_equal(ours.places, again.places)
    with pytest.raises(UsageError, match="at least four images"):
        explain.embed(digits[:3])


def test_pixels_are_the_loaders_to_the_bit() -> None:
    from striate.data import ArraySamples, Loader
    from striate.inference import of_levels

    contract = contract_for((1, 16, 16), 2)
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    samples = ArraySamples(levels, [0], ["all"])

    def loaded(by: object) -> Tensor:
        loader = Loader(samples, by, batch=1, seed=0, shuffle=False)  # type: ignore[arg-type]
        return next(iter(loader.epoch(0))).images

    seen = PixelNet(nn.Identity(), contract)
    pixels = loaded(of_levels(contract)) / 255
    assert torch.equal(seen.normalise(pixels), loaded(contract))
    assert float(seen.normalise(seen.nothing[None]).abs().max()) < 1e-6

"""A run that whitens does so wherever it is used, with what it measured in training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from striate import data, inference, recipes, runs, train
from striate.data.whitening import measure_whitening
from striate.errors import ContractError
from striate.train import Recipe, SizeUntil
from striate.train.prepare import prepare


@pytest.fixture
def whitening(make_recipe: Callable[..., Recipe]) -> Recipe:
    settings = ["preprocessing.whitening=zca", "preprocessing.epsilon=0.02", "epochs=1"]
    return recipes.settings.apply(make_recipe(augmentation=()), settings)


def test_what_is_measured_is_trained_kept_and_used(whitening: Recipe, tmp_path: Path) -> None:
    digits = data.open("digits")
    train.train(whitening, out=tmp_path / "run", dataset=digits)
    run = runs.open(tmp_path / "run")
    contract = run.contract()
    assert contract.mean_image == "mean_image.weight"
    assert contract.whitening == "whitening.matrix.weight"
    prepared = prepare(whitening, digits)
    found = measure_whitening(prepared.split.train, contract, "zca", 0.02)
    kept = load_file(run.weights)
    assert found is not None
    for name, value in found.tensors().items():  # neither trained nor averaged nor decayed
        assert torch.equal(kept[name], value)

    net = inference.load(run)
    images = next(
        data.Loader(prepared.split.test, contract, batch=9, seed=0, shuffle=False).epoch(0)
    )
    by_hand = net.conv1(found(images.images))
    caught: list[torch.Tensor] = []
    net.conv1.register_forward_hook(lambda module, given, made: caught.append(made))
    net(images.images)
    np.testing.assert_allclose(caught[0].detach(), by_hand.detach(), atol=1e-4)

    last = len(list(run.history("step")))
    assert train.replay(run.path, 1, last, dataset=digits).identical


def test_what_the_network_does_not_do_is_refused(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe()
    preprocessing = recipe.preprocessing.replace(whitening="mean_image")
    with pytest.raises(ContractError, match="begin with the layers of whitening=mean_image"):
        prepare(recipe.replace(preprocessing=preprocessing))
    sizes = (SizeUntil(until=1.0, size=(8, 8)),)
    recipe = recipes.settings.apply(
        recipe.replace(sizes=sizes), ["preprocessing.whitening=mean_image"]
    )
    with pytest.raises(ContractError, match=r"images of one size .* say --set sizes=\[\]"):
        prepare(recipe)

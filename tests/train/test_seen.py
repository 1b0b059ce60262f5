"""The contact sheet's images are those of the training, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from striate import train
from striate.data import Dataset, Sampling
from striate.design import Network
from striate.train.objective import Forward, Mixing, Rows
from striate.train.prepare import prepare
from striate.train.seen import Seen


@pytest.mark.parametrize(
    ("objective", "accumulate", "sampling"),
    [
        (train.Mixup(alpha=1.0), 1, Sampling()),
        (train.Cutmix(), 2, Sampling(last="drop")),
        (train.Cutmix(), 1, Sampling(classes="balanced")),
    ],
)
def test_mixed_images_are_those_of_the_training(
    make_recipe: Callable[..., train.Recipe],
    digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: Mixing,
    accumulate: int,
    sampling: Sampling,
) -> None:
    recipe = make_recipe(objective=objective, accumulate=accumulate, sampling=sampling)
    shown: list[torch.Tensor] = []
    loss = Mixing.loss

    def watched(self: Mixing, forward: Forward, network: Network, rows: Rows) -> torch.Tensor:
        shown.append(self.mix(rows).images.clone())
        return loss(self, forward, network, rows)

    monkeypatch.setattr(Mixing, "loss", watched)
    train.train(recipe, out=tmp_path / "run")
    prepared = prepare(recipe, digits)
    seen = Seen(recipe, prepared)
    half = len(shown) // 2
    for epoch in (0, 1):
        there = torch.cat(shown[epoch * half : (epoch + 1) * half]).numpy()
        drawn = {
            int(place)
            for share in next(iter(seen.loaders.values())).order.epoch(epoch)
            for place in share.indices
        }
        places = sorted(drawn)[::40]
        for image in seen(places, epoch):
            assert (there == image).all(axis=(1, 2, 3)).any()
        plain = next(iter(seen.loaders.values())).images(places, epoch)
        assert any((a != b).any() for a, b in zip(plain, seen(places, epoch), strict=True))
    left_out = sorted(set(range(len(prepared.split.train))) - drawn)[:1]
    for place in left_out:
        assert np.array_equal(seen([place], 1)[0], plain_of(seen, place))


def plain_of(seen: Seen, place: int) -> np.ndarray:
    return next(iter(seen.loaders.values())).images([place], 1)[0]
